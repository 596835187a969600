"""OBO files (DOID, HPO, MONDO, NCIt, Uberon, SYMP) by obonet.

obonet reads every OBO file of the shared data; fastobo, and pronto which stands on it, refuse
DOID of 2015 (a quotation mark left out) and pronto Uberon's import (an undeclared term).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag._extras import require
from drehr_rag.errors import GraphError
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._curie import curie
from drehr_rag.kg.loaders._open import plain_name, reading
from drehr_rag.kg.loaders._scopes import scopes_of

LICENCE = "as the ontology states"

_SYNONYM = re.compile(r'^"((?:[^"\\]|\\.)*)"\s*([A-Z]+)?')
_ESCAPE = re.compile(r"\\(.)")


def recognise(path: Path, head: str) -> bool:
    """An `.obo`, or a file that begins with OBO's header."""
    return plain_name(path).endswith(".obo") or head.startswith("format-version:")


def load(path: Path, *, synonyms: str = "EXACT") -> Iterator[Record | Unread]:
    """Every live term.

    Args:
        path: Plain or gzipped.
        synonyms: Scopes that count as names, comma-separated: EXACT, NARROW, BROAD, RELATED, ALL.

    Raises:
        GraphError: The file is no OBO.
        MissingExtra: obonet is not installed.
    """
    scopes = scopes_of(synonyms)
    obonet = require("obonet", extra="kg")
    return _records(path, obonet, scopes)


def _records(path: Path, obonet: Any, scopes: frozenset[str]) -> Iterator[Record | Unread]:
    with reading(path) as file:
        try:
            graph = obonet.read_obo(file)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
            reason = type(problem).__name__
            raise GraphError(f"{path} is no OBO file that obonet can read ({reason})") from None
    names = {kind["id"]: kind.get("name", kind["id"]) for kind in graph.graph.get("typedefs", ())}
    for name, data in graph.nodes(data=True):
        if data:
            record, missed = _term(name, data, scopes, names)
            yield record
            yield from (Unread(f"{path.name}: {name}", f"a synonym that is {m}") for m in missed)


def _term(
    name: str, data: Mapping[str, Any], scopes: frozenset[str], names: Mapping[str, str]
) -> tuple[Record, list[str]]:
    terms, missed = [], []
    for raw in data.get("synonym", ()):
        found = _SYNONYM.match(raw)
        if found is None:
            missed.append("not between quotation marks")
        elif (found[2] or "RELATED") in scopes:
            terms.append(_ESCAPE.sub(r"\1", found[1]))
    edges = [edge.split(maxsplit=2)[:2] for edge in data.get("relationship", ())]
    record = Record(
        curie(name),
        tuple(terms),
        preferred=data.get("name"),
        parents=tuple(curie(parent) for parent in data.get("is_a", ())),
        related=tuple(
            (names.get(edge[0], edge[0]), curie(edge[1])) for edge in edges if len(edge) == 2
        ),
        types=(data["namespace"],) if "namespace" in data else (),
        same_as=tuple(curie(other) for other in data.get("alt_id", ())),
    )
    return record, missed
