"""What `ask` and `search` find on the invented ward: dev for choosing, frozen for reporting.

    python -m benchmarks.ward_answers [--split dev|frozen|fresh|fresh2|fresh3] [--show]

An answer is right if one of its citations overlaps a stretch that the judges marked as evidence.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log2
from typing import Any

from rich.console import Console
from rich.table import Table

from drehr_rag import AllPatients, EhrIndex, Patient, ward
from drehr_rag.types import Answer, Chunk, Citation

FRESH: Mapping[Any, Any] = {"fresh": 1, "fresh2": 2, "fresh3": 3}
"""Sets of questions alone, and their writers."""


def overlaps(place: Chunk | Citation, spans: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a chunk or citation shares a character with one of the spans."""
    return any(
        place.note_id == span["note_id"] and place.start < span["end"] and span["start"] < place.end
        for span in spans
    )


def verdict(question: Mapping[str, Any], answer: Answer) -> str:
    """right, wrong, missed (abstained though answerable), or abstained (rightly)."""
    if answer.abstained:
        return "missed" if question["evidence"] else "abstained"
    return "right" if any(overlaps(c, question["evidence"]) for c in answer.citations) else "wrong"


def ndcg10(gains: Sequence[bool], relevant: int) -> float:
    """nDCG@10 with binary gains; `relevant` is how many there are to find."""
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(10, relevant) + 1))
    return sum(1 / log2(rank + 1) for rank, gain in enumerate(gains[:10], 1) if gain) / ideal


def questions(split: Any) -> list[dict[str, Any]]:
    """Those of a half, or of one of the sets that were written later; all of both halves."""
    return ward.fresh(FRESH[split]) if split in FRESH else ward.questions(split)


def answers_table(index: EhrIndex, split: Any, show: bool, out: Console) -> Table:
    """Verdicts by kind of question."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    evidence: list[bool] = []
    for question in questions(split):
        scope = Patient(question["patient_id"])
        answer = index.ask(question["question"], scope=scope)
        result = verdict(question, answer)
        wily = ", wily" if question.get("wily") else ""
        counts[question["kind"] + wily][result] += 1
        counts["all"][result] += 1
        if question["evidence"]:
            hits = index.search(question["question"], scope=scope, k=8)
            evidence.append(any(overlaps(hit.chunk, question["evidence"]) for hit in hits))
        if show and result in ("wrong", "missed"):
            out.print(question["kind"], question["question"], "→", answer.text, markup=False)
    verdicts = ("right", "wrong", "missed", "abstained")
    table = Table("questions", *verdicts, title=f"ward, {split or 'all'}: answers")
    for kind, row in counts.items():
        table.add_row(kind, *(str(row[v]) for v in verdicts))
    table.caption = f"evidence among 8 passages: {sum(evidence)} of {len(evidence)}"
    return table


def search_table(index: EhrIndex, split: Any) -> Table:
    """nDCG@10 over the whole ward by match type."""
    spans: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for judgment in ward.qrels(split):
        spans[judgment["query_id"]].append(judgment)
    everybody = AllPatients(reason="evaluation")
    modes: tuple[Any, ...] = ("lexical", "dense", "rrf", "hybrid")
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    every = [hit.chunk for hit in index.search("a", scope=everybody, k=10**5, mode="dense")]
    for query in ward.queries(split):
        judged = spans[query["query_id"]]
        for mode in modes:
            hits = index.search(query["text"], scope=everybody, k=400, mode=mode)
            for match in ("all", *sorted({j["match"] for j in judged})):
                wanted = [j for j in judged if match in ("all", j["match"])]
                rest = [j for j in judged if j not in wanted]
                ranked = [
                    h.chunk
                    for h in hits
                    if overlaps(h.chunk, wanted) or not overlaps(h.chunk, rest)
                ]
                gains = [overlaps(chunk, wanted) for chunk in ranked]
                relevant = sum(overlaps(chunk, wanted) for chunk in every)
                scores[match, mode].append(ndcg10(gains, relevant))
    table = Table("match", *modes, "queries", title=f"ward, {split or 'all'}: nDCG@10")
    for match in dict.fromkeys(match for match, _ in scores):
        cells = [sum(s) / len(s) for s in (scores[match, mode] for mode in modes)]
        table.add_row(match, *(f"{c:.3f}" for c in cells), str(len(scores[match, "hybrid"])))
    return table


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("dev", "frozen", *FRESH))
    parser.add_argument("--show", action="store_true", help="print the questions that fail")
    options = parser.parse_args()
    out = Console(width=140)
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(ward.notes())
        out.print(answers_table(index, options.split, options.show, out))
        if options.split not in FRESH:
            out.print(search_table(index, options.split))


if __name__ == "__main__":
    main()
