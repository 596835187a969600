"""The tables of a BIOS release: concepts `cid, tid, str, tty, lang`, semantic types, relations.

Only the concepts' columns are published; the others are taken by the names in `COLUMNS`.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._open import head, plain_name, reading

COLUMNS = {
    "id": ("cid", "cui"),
    "name": ("str", "term"),
    "kind": ("sty", "semantic_type", "semantictype"),
    "subject": ("cid1", "head", "subject", "head_cid"),
    "relation": ("rel", "relation", "predicate"),
    "object": ("cid2", "tail", "object", "tail_cid"),
}
"""Names that a column of a release goes by, in lower case."""

IS_A = ("is a", "is_a", "isa")


def read_table(path: Path, wanted: set[str]) -> Iterator[Record | Unread]:
    """Every row; `wanted` are the languages of names that are taken, in lower case."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    columns = header(path)
    place = {
        what: next((columns.index(n) for n in names if n in columns), None)
        for what, names in COLUMNS.items()
    }
    with reading(path) as file:
        next(file)
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        for number, row in enumerate(rows, 2):
            if len(row) < len(columns):
                yield Unread(f"{path.name}: row {number}", f"{len(row)} columns")
            elif record := _row(row, columns, place, wanted):
                yield record


def _row(
    row: list[str], columns: list[str], place: Mapping[str, int | None], wanted: set[str]
) -> Record | None:
    fields = {what: row[at] for what, at in place.items() if at is not None}
    subject, target = fields.get("subject"), fields.get("object")
    if subject and target:
        name = fields.get("relation", "related")
        if name.lower() in IS_A:
            return Record(subject, parents=(target,))
        return Record(subject, related=((name, target),))
    more = dict(zip(columns, row, strict=False))
    if not (cui := fields.get("id")) or more.get("lang", "").lower() not in {"", *wanted}:
        return None
    term = fields.get("name")
    return Record(
        cui,
        (term,) if term else (),
        preferred=term if more.get("tty") == "PT" else None,
        types=(fields["kind"],) if fields.get("kind") else (),
    )


def tables_of(files: Iterable[Path]) -> list[Path]:
    """Those of the files that are a release's tables."""
    named = [f for f in files if plain_name(f).endswith((".tsv", ".txt"))]
    return [f for f in named if {"cid", "cid1", "cid2", "head"} & set(header(f))]


def header(path: Path) -> list[str]:
    """Names of a table's columns, in lower case."""
    first = head(path).partition("\n")[0]
    return [word.strip().lower() for word in first.split("\t")]
