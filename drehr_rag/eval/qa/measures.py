"""Scores of single questions, brought together over a run."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply
from drehr_rag.eval.qa.scores.abstention import Graded, aurc, curve
from drehr_rag.eval.qa.scores.agreement import figures
from drehr_rag.eval.qa.scores.answers import best, exact_match, token_f1
from drehr_rag.eval.qa.scores.citations import Measure, by_character, by_sentence, right
from drehr_rag.eval.qa.scores.evidence import hit_at, recall_at
from drehr_rag.eval.qa.scores.rouge import rouge_l
from drehr_rag.eval.qa.scores.spans import overlaps
from drehr_rag.types import Note

DEPTHS = (1, 3, 5)
"""Passages after which retrieval is measured, besides all that were read."""

MANY = 4
"""Questions that name as many entities or more are one group."""


class Pair(NamedTuple):
    """A question and what was said to it."""

    question: Question
    reply: Reply


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def retrieval(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Hit and recall of essential evidence, over all questions that have any, and by entities."""
    judged = [pair for pair in pairs if pair.question.essential()]
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in judged:
        groups[_entities(pair.question.entities)].append(pair)
    depths = [k for k in DEPTHS if k < max((len(p.reply.passages) for p in judged), default=0)]
    by_entities = {name: _retrieved(groups[name], depths) for name in sorted(groups)}
    return {"all": _retrieved(judged, depths), "by_entities": by_entities}


def _entities(count: int | None) -> str:
    if count is None:
        return "not counted"
    return f"{MANY} or more" if count >= MANY else str(count)


def _retrieved(pairs: Sequence[Pair], depths: Sequence[int]) -> dict[str, Any]:
    found: dict[str, Any] = {"questions": len(pairs)}
    for name, measure in (("hit", hit_at), ("recall", recall_at)):
        for label, k in [*((f"{name}@{k}", k) for k in depths), (f"{name}@all", 10**9)]:
            found[label] = _mean([measure(k, q.essential(), reply.passages) for q, reply in pairs])
    return found


def answers(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Words of the answer against acceptable ones; whoever says nothing scores 0."""
    told = [(pair.question.answers or (), pair.reply.text) for pair in pairs]
    told = [(accepted, said) for accepted, said in told if accepted]
    measures = {"exact_match": exact_match, "token_f1": token_f1, "rouge_l": rouge_l}
    means = {
        name: _mean([best(measure, said, accepted) for accepted, said in told])
        for name, measure in measures.items()
    }
    return {"questions": len(told), **means}


def citations(pairs: Sequence[Pair], notes: Sequence[Note] | None) -> dict[str, Any]:
    """Precision, recall, F1 by character and by sentence, strict and lenient.

    Over all questions whose evidence is known: where there is none, every citation is wrong.
    """
    judged = [pair for pair in pairs if pair.question.evidence is not None]
    levels: dict[str, Measure] = {"span": by_character}
    if notes is not None:
        levels["sentence"] = by_sentence({note.note_id: note.text for note in notes})
    found: dict[str, Any] = {"questions": len(judged)}
    for level, measure in levels.items():
        for variant in ("strict", "lenient"):
            cases = [
                measure(reply.citations, right(q, strict=variant == "strict"))
                for q, reply in judged
            ]
            found[f"{level}_{variant}"] = figures(cases)
    return found


def abstention(pairs: Sequence[Pair]) -> dict[str, Any]:
    """When it answered and should have, and the risk of answering, by two kinds of being right."""
    known = [pair for pair in pairs if pair.question.answerable is not None]
    groups = {"answerable": [p for p in known if p.question.answerable]}
    groups["not_in_notes"] = [p for p in known if not p.question.answerable]
    found: dict[str, Any] = {"questions": len(known)}
    for name, group in groups.items():
        found[name] = {
            "answered": sum(reply.answered for _, reply in group),
            "abstained": sum(reply.abstained for _, reply in group),
            "failed": sum(reply.error is not None for _, reply in group),
        }
    found["by_evidence"] = _selective(
        [pair for pair in pairs if pair.question.evidence is not None], _misses_evidence
    )
    found["by_token_f1"] = _selective(
        [pair for pair in pairs if pair.question.answers is not None], _differs
    )
    return found


def _misses_evidence(pair: Pair) -> float:
    """0 if a citation touches evidence; it is the ward's measure (docs/measurements.md)."""
    evidence = pair.question.evidence or ()
    return float(not any(overlaps(c, e) for c in pair.reply.citations for e in evidence))


def _differs(pair: Pair) -> float:
    accepted = pair.question.answers
    return 1 - best(token_f1, pair.reply.text, accepted) if accepted else 1.0


def _selective(pairs: Sequence[Pair], loss: Callable[[Pair], float]) -> Mapping[str, Any]:
    """Coverage, accuracy of what was answered, AURC, and the curve."""
    told = [p.reply.confidence for p in pairs if p.reply.answered]
    sure = bool(told) and None not in told  # if some have none, they cannot be ranked
    graded = [
        Graded(
            loss(pair),
            pair.reply.answered,
            float(pair.reply.confidence or 0.0) if sure else 1.0,
        )
        for pair in pairs
    ]
    points = curve(graded)
    return {
        "questions": len(pairs),
        "confidence": "from the chain" if sure else "none: one point",
        "coverage": _mean([float(g.answered) for g in graded]),
        "accuracy": points[-1].accuracy if points else None,
        "aurc": aurc(graded),
        "curve": [{"coverage": p.coverage, "accuracy": p.accuracy} for p in points],
    }
