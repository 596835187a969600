"""The development sets: 100-word chunks of open notes, judged by match type as CliniQ's are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drehr_rag._files import checksum
from drehr_rag.errors import EvaluationError
from drehr_rag.eval._beir_files import facts, judged_only, one_of, queries, rows
from drehr_rag.eval._files import opened
from drehr_rag.eval.qrels import read_qrels
from drehr_rag.eval.spans import Span, project, split_notes
from drehr_rag.eval.task import Passage, Qrels, Task
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.notes.chunkers.words import WordChunker
from drehr_rag.types import Chunk, Note

EXAMPLE = "drehr-rag eval devset ./devset/mtsamples --mode lexical --save-run bm25.trec.gz"

WORDS = 180
"""The most words of a chunk of another chunker; an encoder's tokens are not counted here."""


def load(place: Path, *, notes: str | None = None, chunker: str | None = None) -> Task:
    """Read `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`, plain or gzipped.

    Chunk ids are `<note_id>_<number>`, so that a note's chunks can be ranked by themselves.

    Args:
        place: The folder.
        notes: The raw notes (JSON Lines with `note_id` and `text`), to cut them otherwise: the
            judged chunks become stretches of the notes, and a new chunk is relevant when it
            covers at least half of one.
        chunker: With `notes`: `sections` or `words`.

    Raises:
        EvaluationError: A file is missing or damaged, or they do not fit each other.
    """
    if (notes is None) != (chunker is None):
        raise EvaluationError("to cut the notes otherwise, give both: notes (a file) and chunker")
    corpus, asked, table = (
        one_of(place, name) for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
    )
    texts = {key: row["text"] for key, row in rows(corpus)}
    qrels: Qrels = read_qrels(table)
    name = f"devset {place.resolve().name}"
    more: dict[str, Any] = {}
    if notes is None or chunker is None:
        passages = {
            key: Passage(text, key.rpartition("_")[0] or key) for key, text in texts.items()
        }
    else:
        passages, qrels, more = _cut_again(Path(notes), chunker, texts, qrels)
        name += f" ({chunker})"
    kept, judged, left_out = judged_only(queries(asked), qrels)
    data = facts(place, corpus, asked, table, **left_out, **more)
    return Task(name, passages, kept, judged, facts=data)


def _cut_again(
    file: Path, chunker: str, texts: dict[str, str], qrels: Qrels
) -> tuple[dict[str, Passage], Qrels, dict[str, Any]]:
    notes = _notes(file)
    stretches = _stretches(notes, texts)
    known = [(q, c, j) for q, judged in qrels.items() for c, j in judged.items()]
    spans = [Span(q, *stretches[c], j.match) for q, c, j in known if c in stretches and j.grade > 0]
    cutter = load_chunker(chunker, count_tokens=_words, max_tokens=WORDS)
    chunks = split_notes(notes, cutter)
    found = project(spans, chunks, {note.note_id: len(note.text) for note in notes})
    more = {
        "notes": {file.name: checksum(file)},
        "chunker": dict(cutter.settings),
        "spans": len(spans),
        "judgments_without_place": len(known) - len(spans),
        "spans_lost": found.lost,
        "chunks_a_span": round(found.chunks_a_span, 3),
    }
    return {c.chunk_id: Passage(c.text, c.note_id) for c in chunks}, found.qrels, more


def _stretches(notes: Sequence[Note], texts: dict[str, str]) -> dict[str, tuple[str, int, int]]:
    """Where each chunk of the corpus stands: it was cut by CliniQ's rules."""
    again: list[list[Chunk]] = WordChunker(cleaning="cliniq").split(notes)
    places = {
        f"{chunk.note_id}_{number}": chunk
        for chunks in again
        for number, chunk in enumerate(chunks)
    }
    return {
        key: (chunk.note_id, chunk.start, chunk.end)
        for key, chunk in places.items()
        if texts.get(key) == chunk.text
    }


def _notes(file: Path) -> list[Note]:
    with opened(file) as stream:
        try:
            held = [json.loads(line) for line in stream if line.strip()]
            return [
                Note(note_id=row["note_id"], patient_id=row["note_id"], text=row["text"])
                for row in held
            ]
        except (ValueError, KeyError, TypeError):
            raise EvaluationError(f"{file}: not JSON Lines with note_id and text") from None


def _words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]
