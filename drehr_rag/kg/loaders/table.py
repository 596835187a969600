"""CSV and TSV: names, codes, tree numbers, relations, SSSOM mappings that join other sources.

Recognised by their headers: MeSH names and tree numbers, ICD-9-CM, CCS, the DrugBank open
vocabulary, HPO's lay names, SSSOM, and a few pair lists. For any other table the options say which
column holds what: `table:names.csv?id=code&term=name&prefix=LOCAL`.
"""

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from drehr_rag.errors import GraphError
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._curie import curie
from drehr_rag.kg.loaders._layout_options import layout_of
from drehr_rag.kg.loaders._layouts import IS_A, SAME, Layout
from drehr_rag.kg.loaders._open import plain_name, reading

LICENCE = "unknown"

Row = Mapping[str, str]
_CODE = re.compile(r"^[EV]?\d+$")


def recognise(path: Path, head: str) -> bool:
    """Any `.csv`, `.tsv` or `.txt` with columns."""
    return plain_name(path).endswith((".csv", ".tsv")) and bool(head)


def load(path: Path, **options: str) -> Iterator[Record | Unread]:
    """Every row as a record.

    Args:
        path: Plain or gzipped.
        options: `encoding`; `layout`, one of the known; or columns and constants as in `Layout`.

    Raises:
        UnknownName: The header is unknown and `id` is not given, or there is no such column.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    encoding = options.pop("encoding", "utf-8-sig")
    with reading(path, encoding) as file:
        layout, rows = _open(path, file, options)
        trees: dict[str, str] = {}
        for number, row in enumerate(rows, 1):
            record = _record(row, layout)
            if record is None:
                yield Unread(f"{path.name}: row {number}", "no id, or a relation that is not asked")
                continue
            yield record
            yield from _names_of_others(row, layout)
            if layout.tree and (tree := row.get(layout.tree) or ""):
                trees[tree] = record.concept_id
        yield from _tree_parents(trees)


def _open(path: Path, file: TextIO, options: Mapping[str, str]) -> tuple[Layout, Iterator[Row]]:
    lines = (line for line in file if not line.startswith("#"))
    first = [line for _, line in zip(range(3), lines, strict=False)]
    for skip in range(len(first)):
        delimiter = options.get("delimiter") or _delimiter(first[skip])
        header = [_bare(word) for word in next(csv.reader([first[skip]], delimiter=delimiter))]
        wanted = {**options, "skip": str(skip)} if "skip" not in options else options
        if int(wanted["skip"]) == skip and (layout := layout_of(header, wanted)):
            break
    else:
        raise GraphError(
            f"{path} has a header that is not known: say which columns hold what, "
            f"as in table:{path.name}?id=code&term=name"
        )
    rest = csv.reader(_rest(first[skip + 1 :], lines), delimiter=delimiter, quotechar=layout.quote)
    return layout, (dict(zip(header, map(_bare, row), strict=False)) for row in rest if row)


def _rest(first: list[str], lines: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from lines


def _delimiter(line: str) -> str:
    return max("\t;,", key=line.count)


def _bare(word: str) -> str:
    return word.strip().strip("'\"").strip()


def _record(row: Row, layout: Layout) -> Record | None:
    concept = _id(row, layout.id, layout.prefix, layout.code)
    if not concept:
        return None
    same, parents, related = _edge(row, layout)
    if layout.object and not (same or parents or related):
        return None
    if parent := _id(row, layout.parent, layout.parent_prefix):
        parents = (*parents, parent)
    names = (row.get(column) or "" for column in layout.synonyms.split(",") if column)
    return Record(
        concept,
        tuple(
            name
            for text in names
            for part in text.split(layout.separator)
            if (name := part.strip())
        ),
        preferred=row.get(layout.term) or None,
        parents=parents,
        related=related,
        types=(row[layout.kind],) if row.get(layout.kind) else (),
        same_as=same,
    )


def _names_of_others(row: Row, layout: Layout) -> Iterator[Record]:
    for column, prefix, term in (
        (layout.parent, layout.parent_prefix, layout.parent_term),
        (layout.object, layout.object_prefix, layout.object_term),
    ):
        if (concept := _id(row, column, prefix)) and (name := row.get(term)):
            yield Record(concept, (name,))


def _edge(
    row: Row, layout: Layout
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...]]:
    target = _id(row, layout.object, layout.object_prefix)
    name = row.get(layout.relation, layout.relation)
    if layout.relations:
        name = layout.relations.get(name, name if layout.others else "")
    if not target or not name:
        return (), (), ()
    if name == SAME:
        return (target,), (), ()
    return ((), (target,), ()) if name == IS_A else ((), (), ((name, target),))


def _id(row: Row, column: str, prefix: str, code: str = "") -> str:
    word = row.get(column) or ""
    if code and _CODE.match(word):
        whole = 2 if code == "icd9-procedure" else 4 if word[0] == "E" else 3
        word = f"{word[:whole]}.{word[whole:]}".rstrip(".")
    return curie(word, prefix) if word else ""


def _tree_parents(trees: Mapping[str, str]) -> Iterator[Record]:
    for tree, concept in trees.items():
        parent = trees.get(tree.rpartition(".")[0])
        if parent is not None and parent != concept:
            yield Record(concept, parents=(parent,))
