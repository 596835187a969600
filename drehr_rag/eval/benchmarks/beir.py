"""Any set in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, plain or .gz.

PMC-Patients (similar patients and articles), TREC clinical trials, NFCorpus and others come so.
`hf:OWNER/NAME` is a set on the Hugging Face hub, which is fetched into the hub's own cache.
"""

from pathlib import Path

from drehr_rag._extras import require
from drehr_rag.errors import EvaluationError
from drehr_rag.eval._beir_files import facts, judged_only, one_of, queries, rows
from drehr_rag.eval.qrels import read_qrels
from drehr_rag.eval.task import Measures, Passage, Task

EXAMPLE = "drehr-rag eval beir ./nfcorpus --encoder offline --option split=dev"

MEASURES: Measures = {"multi-patient": ("nDCG@10", "RR", "R@100", "R@1000")}
"""BEIR's own first, then those of PMC-Patients (RR, R@1000)."""


HUB = "hf:"
LAYOUT = ("corpus.jsonl*", "queries.jsonl*", "qrels/*")


def load(place: Path, *, split: str = "test") -> Task:
    """Read it; title and text of a document make its passage, as BEIR has it.

    Args:
        place: The folder, or `hf:OWNER/NAME`.
        split: Name of the table of judgments: `test`, `dev`, `train`.

    Raises:
        EvaluationError: A file is missing or damaged, or they do not fit each other.
    """
    place = _fetched(str(place)[len(HUB) :]) if str(place).startswith(HUB) else place
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


def _fetched(name: str) -> Path:
    hub = require("huggingface_hub", extra="local")
    try:
        return Path(hub.snapshot_download(name, repo_type="dataset", allow_patterns=LAYOUT))
    except Exception as problem:  # the hub's client has many; what to do is the same
        raise EvaluationError(
            f"{name} cannot be fetched from the hub ({type(problem).__name__}): where there is a "
            f"network, type hf download --repo-type dataset {name} --local-dir FOLDER, and give "
            "the folder"
        ) from None
