"""The development sets: 100-word chunks of open notes, judged by match type as CliniQ's are."""

from pathlib import Path

from drehr_rag.eval._tables import facts, judged_only, one_of, queries, rows
from drehr_rag.eval.qrels import read_qrels
from drehr_rag.eval.task import Passage, Task


def load(place: Path) -> Task:
    """Read `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`, plain or gzipped.

    Chunk ids are `<note_id>_<number>`, so that a note's chunks can be ranked by themselves.

    Raises:
        EvaluationError: A file is missing or damaged, or they do not fit each other.
    """
    corpus, asked, table = (
        one_of(place, name) for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
    )
    passages = {
        key: Passage(row["text"], key.rpartition("_")[0] or key) for key, row in rows(corpus)
    }
    kept, qrels, left_out = judged_only(queries(asked), read_qrels(table))
    name = f"devset {place.resolve().name}"
    return Task(name, passages, kept, qrels, facts=facts(place, corpus, asked, table, **left_out))
