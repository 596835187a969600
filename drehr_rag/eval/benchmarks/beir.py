"""Any set in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, plain or .gz.

PMC-Patients (similar patients and articles), TREC clinical trials, NFCorpus and others come so. A
set on the Hugging Face hub is fetched first: `hf download --repo-type dataset OWNER/NAME
--local-dir FOLDER`.
"""

from pathlib import Path

from drehr_rag.eval._tables import facts, judged_only, one_of, queries, rows
from drehr_rag.eval.qrels import read_qrels
from drehr_rag.eval.task import Measures, Passage, Task

EXAMPLE = "drehr-rag eval beir ./nfcorpus --encoder offline --option split=dev"

MEASURES: Measures = {"multi-patient": ("nDCG@10", "RR", "R@100", "R@1000")}
"""BEIR's own first, then those of PMC-Patients (RR, R@1000)."""


def load(place: Path, *, split: str = "test") -> Task:
    """Read it; title and text of a document make its passage, as BEIR has it.

    Args:
        place: The folder.
        split: Name of the table of judgments: `test`, `dev`, `train`.

    Raises:
        EvaluationError: A file is missing or damaged, or they do not fit each other.
    """
    corpus, asked = one_of(place, "corpus.jsonl"), one_of(place, "queries.jsonl")
    table = one_of(place, f"qrels/{split}.tsv", f"qrels/{split}.txt", f"qrels/{split}.trec")
    passages = {
        key: _passage(key, row.get("title") or "", row["text"]) for key, row in rows(corpus)
    }
    kept, qrels, left_out = judged_only(queries(asked), read_qrels(table))
    return Task(
        f"beir {place.resolve().name} {split}",
        passages,
        kept,
        qrels,
        measures=MEASURES,
        facts=facts(place, corpus, asked, table, split=split, **left_out),
    )


def _passage(key: str, title: str, text: str) -> Passage:
    return Passage(f"{title} {text}".strip(), key)
