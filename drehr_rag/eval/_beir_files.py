"""Passages and queries in BEIR's form: JSON Lines with `_id`, `text`, and whatever else."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag._files import checksum
from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import opened
from drehr_rag.eval.task import Judgment, Qrels, Query


def one_of(place: Path, *names: str) -> Path:
    """The file of the first of these names that is in a folder, gzipped or not.

    Raises:
        EvaluationError: None is.
    """
    for name in names:
        for file in (place / name, place / f"{name}.gz"):
            if file.is_file():
                return file
    state = "holds none of" if place.is_dir() else "is no folder; it should hold one of"
    raise EvaluationError(f"{place} {state} {', '.join(names)} (plain or .gz)")


def rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row under its id.

    Raises:
        EvaluationError: A line is no JSON object with `_id` and `text`, or an id stands twice.
    """
    seen: set[str] = set()
    twice = 0
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                key, _ = str(row["_id"]), row["text"] + ""
            except (ValueError, TypeError, KeyError):
                raise EvaluationError(
                    f"{file}:{number}: no JSON object with the texts _id and text"
                ) from None
            twice += key in seen
            seen.add(key)
            yield key, row
    if twice:
        raise EvaluationError(f"{file}: {twice:,} rows bear an id that stands before")
    if not seen:
        raise EvaluationError(f"{file} holds no row")


def queries(*files: Path, type: str | None = None) -> dict[str, Query]:
    """The queries of some files; `type` of a row, or one for all."""
    found: dict[str, Query] = {}
    for file in files:
        some = {key: Query(row["text"], type or row.get("type")) for key, row in rows(file)}
        if both := found.keys() & some.keys():
            raise EvaluationError(f"{file}: {len(both):,} queries are in another file too")
        found |= some
    return found


def judged_only(
    queries: Mapping[str, Query], qrels: Qrels
) -> tuple[dict[str, Query], dict[str, dict[str, Judgment]], dict[str, int]]:
    """Queries of which something is relevant, their judgments, and how many were left out.

    Splits of one benchmark often share a file of queries, so that most have no judgment.
    """
    kept = {
        q: one for q, one in queries.items() if any(j.grade > 0 for j in qrels.get(q, {}).values())
    }
    judged = {q: dict(qrels[q]) for q in qrels if q in kept or q not in queries}
    return kept, judged, {"queries_without_relevant": len(queries) - len(kept)}


def facts(place: Path, *files: Path, **more: Any) -> dict[str, Any]:
    """For the manifest: where it lies, and each file's checksum."""
    named = {str(file.relative_to(place)): checksum(file) for file in files}
    return {"place": str(place), "data": named, **more}
