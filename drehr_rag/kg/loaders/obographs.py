"""OBO Graphs JSON (DOID, NCIt, MONDO, HPO releases); the whole document is read into memory."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag.errors import GraphError
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._curie import curie
from drehr_rag.kg.loaders._open import plain_name, reading
from drehr_rag.kg.loaders._scopes import scopes_of

LICENCE = "as the ontology states"

SUBCLASS = ("is_a", "subClassOf", "http://www.w3.org/2000/01/rdf-schema#subClassOf")
JOINED = "http://www.w3.org/2004/02/skos/core#exactMatch"


def recognise(path: Path, head: str) -> bool:
    """JSON whose first key is `graphs`."""
    return plain_name(path).endswith(".json") and '"graphs"' in head


def load(path: Path, *, synonyms: str = "EXACT") -> Iterator[Record | Unread]:
    """Every live class, then the edges between classes.

    Args:
        path: Plain or gzipped.
        synonyms: Scopes that count as names, comma-separated: EXACT, NARROW, BROAD, RELATED, ALL.

    Raises:
        GraphError: The file is no OBO Graphs document.
    """
    return _records(path, scopes_of(synonyms))


def _records(path: Path, scopes: frozenset[str]) -> Iterator[Record | Unread]:
    for graph in _graphs(path):
        nodes = {node["id"]: node for node in graph.get("nodes", ()) if node.get("id")}
        live = {name for name, node in nodes.items() if _is_live(node)}
        for name, node in nodes.items():
            if name in live and node.get("lbl"):
                yield _node(node, scopes)
        for edge in graph.get("edges", ()):
            subject, target = edge.get("sub"), edge.get("obj")
            if subject in live and target in live:
                yield _edge(edge, nodes)
            elif subject not in nodes or target not in nodes:
                yield Unread(f"{path.name}: {subject} → {target}", "an end that has no node")


def _graphs(path: Path) -> list[dict[str, Any]]:
    with reading(path) as file:
        try:
            found: list[dict[str, Any]] = json.load(file)["graphs"]
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            reason = type(problem).__name__
            raise GraphError(f"{path} is no OBO Graphs document ({reason})") from None
    if not isinstance(found, list) or not all(isinstance(graph, dict) for graph in found):
        raise GraphError(f"{path} is no OBO Graphs document (graphs is no list of objects)")
    return found


def _is_live(node: Mapping[str, Any]) -> bool:
    is_class = node.get("type", "CLASS") == "CLASS"
    return is_class and not (node.get("meta") or {}).get("deprecated")


def _node(node: Mapping[str, Any], scopes: frozenset[str]) -> Record:
    meta = node.get("meta") or {}
    found = meta.get("synonyms", ())
    return Record(
        curie(node["id"]),
        tuple(s["val"] for s in found if s.get("val") and _scope(s.get("pred", "")) in scopes),
        preferred=node["lbl"],
        same_as=tuple(
            curie(fact["val"])
            for fact in meta.get("basicPropertyValues", ())
            if fact.get("pred") == JOINED and fact.get("val")
        ),
    )


def _scope(predicate: str) -> str:
    """`EXACT` of `hasExactSynonym` or `…#hasExactSynonym`."""
    return predicate.rpartition("has")[2].removesuffix("Synonym").upper()


def _edge(edge: Mapping[str, Any], nodes: Mapping[str, Any]) -> Record:
    subject, target, name = curie(edge["sub"]), curie(edge["obj"]), edge.get("pred") or "related"
    if name in SUBCLASS:
        return Record(subject, parents=(target,))
    label = nodes.get(name, {}).get("lbl") or name.rpartition("#")[2].rpartition("/")[2]
    return Record(subject, related=((label, target),))
