"""A graph as the files that DR.EHR's released code reads; its repository lacks a converter."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from drehr_rag.kg._keys import key_of
from drehr_rag.kg.graph import StoredGraph

Entries = Iterable[tuple[str, Any]]


def export_authors(graph: StoredGraph, folder: Path) -> list[str]:
    """Write `bios.txt`, `term2CUI.json`, `CUI2term.json`, `CUI2pt.json`, `is_a.json` and more.

    The last is `relations.json`. Terms are in lower case, as that code expects. Values are lists
    by CUI (by term), but for `CUI2pt.json`, where they are texts. Written entry by entry, so that
    any size will do.

    Returns:
        The names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "bios.txt").open("w", encoding="utf-8") as file:
        for concept in graph.concept_ids():
            file.writelines(f"{concept}\t{name}\n" for name in _names(graph, concept))
    tables: dict[str, Entries] = {
        "term2CUI.json": _by_term(graph),
        "CUI2term.json": ((c, _names(graph, c)) for c in graph.concept_ids()),
        "CUI2pt.json": ((c, n[0]) for c in graph.concept_ids() if (n := _names(graph, c))),
        "is_a.json": ((c, graph.hypernyms(c)) for c in graph.concept_ids()),
        "relations.json": ((c, _targets(graph, c)) for c in graph.concept_ids()),
    }
    for name, entries in tables.items():
        _write(folder / name, entries)
    return ["bios.txt", *tables]


def _names(graph: StoredGraph, concept: str) -> list[str]:
    return [key_of(name) for name in graph.synonyms(concept)]


def _targets(graph: StoredGraph, concept: str) -> list[str]:
    return list(dict.fromkeys(target for _, target in graph.related(concept)))


def _by_term(graph: StoredGraph) -> Iterator[tuple[str, list[str]]]:
    for number, term in enumerate(graph.terms()):
        yield key_of(term), graph.concepts_of_term(number)


def _write(file: Path, entries: Entries) -> None:
    with file.open("w", encoding="utf-8") as out:
        mark = "{"
        for name, value in entries:
            if value:
                text = json.dumps(value, ensure_ascii=False)
                out.write(f"{mark}\n{json.dumps(name, ensure_ascii=False)}: {text}")
                mark = ","
        out.write("{}\n" if mark == "{" else "\n}\n")
