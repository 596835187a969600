"""The invented ward of the package: queries with judged stretches of the notes."""

from hashlib import sha256
from importlib.resources import files
from typing import Any, cast

from drehr_rag import ward
from drehr_rag.eval.spans import Span, project, split_notes
from drehr_rag.eval.task import Passage, Query, Task
from drehr_rag.notes.chunkers import load_chunker

EXAMPLE = "drehr-rag eval ward --encoder offline --mode lexical --mode hybrid --out ./result"


FILES = ("notes.jsonl", "queries.jsonl", "qrels.jsonl")


def load(*, chunker: str = "sections", split: str = "all", words: int = 180) -> Task:
    """Cut the notes and project the judgments onto the chunks.

    Args:
        chunker: `sections` or `words`.
        split: `dev`, `frozen` or `all`.
        words: The most words of a chunk, as long as an encoder's tokens are not counted.
    """
    half = cast(Any, None if split == "all" else split)
    notes = ward.notes()
    cutter = load_chunker(chunker, count_tokens=_words, max_tokens=int(words))
    chunks = split_notes(notes, cutter)
    judged = ward.qrels(half)
    spans = [
        Span(row["query_id"], row["note_id"], row["start"], row["end"], row["match"])
        for row in judged
    ]
    found = project(spans, chunks, {note.note_id: len(note.text) for note in notes})
    queries = {row["query_id"]: Query(row["text"], row["type"]) for row in ward.queries(half)}
    kept = {query: one for query, one in queries.items() if query in found.qrels}
    return Task(
        f"ward {split}",
        {c.chunk_id: Passage(c.text, c.note_id, c.patient_id) for c in chunks},
        kept,
        found.qrels,
        facts={
            "data": {name: _checksum(name) for name in FILES},
            "chunker": dict(cutter.settings),
            "spans": len(spans),
            "spans_lost": found.lost,
            "chunks_a_span": found.chunks_a_span,
            "queries_without_relevant": len(queries) - len(kept),
        },
    )


def _checksum(name: str) -> str:
    return sha256(files(ward).joinpath(name).read_bytes()).hexdigest()


def _words(texts: Any) -> list[int]:
    return [len(text.split()) for text in texts]
