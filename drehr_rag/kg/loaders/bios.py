"""BIOS: the DR.EHR authors' derived files, or a release's tables.

Derived (`CUI2term.json`, `CUI2pt.json`, `is_a.json`, `relations.json`, `bios.txt`): objects of
lists by CUI; `bios.txt` holds CUI and term, tab between them. `relations.json` may hold ids, pairs
of relation and id, or objects of lists by relation. The tables of a release: `_bios_tables`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag.errors import GraphError
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._bios_tables import header, read_table, tables_of
from drehr_rag.kg.loaders._json_items import json_items
from drehr_rag.kg.loaders._open import plain_name, reading

LICENCE = "BIOS: CC-BY-NC-ND-4.0; not to be redistributed"

DERIVED = ("cui2term.json", "cui2pt.json", "is_a.json", "relations.json", "bios.txt")


def recognise(path: Path, head: str) -> bool:
    """A folder with derived files or with a table of concepts, or such a table."""
    files = _files(path)
    return any(name in files for name in DERIVED[:2]) or any(
        {"cid", "str", "tty"} <= set(header(file)) for file in tables_of(files.values())
    )


def load(path: Path, *, languages: str = "ENG") -> Iterator[Record | Unread]:
    """Names, preferred names, types, is_a and relations.

    Args:
        path: Folder; files may be gzipped.
        languages: `lang` of the names to take from a release, comma-separated, whatever the case;
            names without a language are taken.

    Raises:
        GraphError: There is none of the files, or one is broken.
    """
    files = _files(path)
    tables = tables_of(files.values())
    if not any(name in files for name in DERIVED) and not tables:
        raise GraphError(f"{path} holds neither {', '.join(DERIVED)} nor a table with a header")
    wanted = {word.strip().lower() for word in languages.split(",")}
    return _both(files, tables, wanted)


def _both(
    files: Mapping[str, Path], tables: list[Path], wanted: set[str]
) -> Iterator[Record | Unread]:
    yield from _derived(files)
    for table in tables:
        yield from read_table(table, wanted)


def _derived(files: Mapping[str, Path]) -> Iterator[Record | Unread]:
    if "cui2pt.json" in files:
        for cui, name in json_items(files["cui2pt.json"]):
            yield Record(cui, preferred=next(iter(_list(name)), None))
    if "cui2term.json" in files:
        for cui, names in json_items(files["cui2term.json"]):
            yield Record(cui, tuple(_list(names)))
    elif "bios.txt" in files:
        yield from _pairs(files["bios.txt"])
    if "is_a.json" in files:
        for cui, parents in json_items(files["is_a.json"]):
            yield Record(cui, parents=tuple(_list(parents)))
    if "relations.json" in files:
        for cui, content in json_items(files["relations.json"]):
            yield Record(cui, related=tuple(_relations(content)))


def _pairs(path: Path) -> Iterator[Record | Unread]:
    with reading(path) as file:
        for number, line in enumerate(file, 1):
            cui, tab, name = line.rstrip("\r\n").partition("\t")
            if tab and cui:
                yield Record(cui, (name,))
            else:
                yield Unread(f"{path.name}: row {number}", "no tab between CUI and term")


def _relations(content: Any) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        yield from ((name, cui) for name, cuis in content.items() for cui in _list(cuis))
        return
    for entry in _list(content):
        if isinstance(entry, str):
            yield "related", entry
        else:
            yield entry[0], entry[1]


def _list(content: Any) -> list[Any]:
    return [content] if isinstance(content, str) else list(content)


def _files(path: Path) -> dict[str, Path]:
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    return {plain_name(file): file for file in found if file.is_file()}
