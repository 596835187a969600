"""The ready-made chunks that everybody gets: both development sets, then other open notes.

One JSON line a chunk: `chunk_id`, `note_id`, `patient_id`, `source`, `text`; a note's chunks stand
together.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path

from benchmarks.corpora import Corpus, corpora
from benchmarks.devsets import load
from drehr_rag.notes.chunkers.words import WordChunker
from drehr_rag.types import Note

DEVSETS = ("mtsamples", "vaers2004")
OTHERS = ("ACI-Bench", "PriMock57", "VAERS 2004")
REST = "other notes"
DEFAULT = 20_000

Row = dict[str, str]


def chunk_file(data: Path, count: int, work: Path) -> Path:
    """The file of so many chunks, made once: from each source its share, spread over its notes."""
    path = work / f"chunks-{count}.jsonl"
    if not path.exists():
        lines = [json.dumps(row) for row in _chosen(data, count)]
        if len(lines) < count:
            sys.exit(f"the open data makes {len(lines)} chunks, not {count}: ask for fewer")
        work.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")  # an interrupted run must not leave half a file
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.rename(path)
    return path


def digest(path: Path) -> str:
    """What the file holds, in a few letters."""
    return sha256(path.read_bytes()).hexdigest()[:16]


def read(path: Path) -> list[Row]:
    """Every row."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _chosen(data: Path, count: int) -> Iterator[Row]:
    sources = {name: _devset(data, name) for name in DEVSETS}
    room = max(DEFAULT, count) - sum(map(len, sources.values()))
    sources[REST] = list(islice(_others(data), room))
    total = sum(map(len, sources.values()))
    taken = 0
    for name, rows in sources.items():
        wanted = min(len(rows), count - taken)
        if name != REST:
            wanted = min(wanted, round(count * len(rows) / total))
        taken += wanted
        yield from (rows[i * len(rows) // wanted] for i in range(wanted))


def _devset(data: Path, name: str) -> list[Row]:
    return [_row(key, key.rpartition("_")[0], name, text)
            for key, text in load(data, name).passages.items()]  # fmt: skip


def _others(data: Path) -> Iterator[Row]:
    """Notes that are in no development set, cut as those were: 100 words, overlap 10."""
    known = {row["note_id"].rpartition("-")[2] for row in _devset(data, "vaers2004")}
    chunker = WordChunker()
    with tempfile.TemporaryDirectory() as folder:
        sources = {source.name: source for source in corpora(data, Path(folder))}
        for name in OTHERS:
            for note in _notes(sources[name]):
                if name != "VAERS 2004" or note.note_id not in known:
                    for chunk in chunker.split([note])[0]:
                        yield _row(chunk.chunk_id, f"{name}/{note.note_id}", REST, chunk.text)


def _notes(source: Corpus) -> Iterator[Note]:
    return (note for note in source.notes() if isinstance(note, Note))


def _row(chunk_id: str, note_id: str, source: str, text: str) -> Row:
    """A note counts as a patient: nothing here says which notes are one person's."""
    return {
        "chunk_id": chunk_id,
        "note_id": note_id,
        "patient_id": note_id,
        "source": source,
        "text": text,
    }
