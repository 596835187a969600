"""What makes a bad entity, though a terminology names it: "this" (a genus of bees), "time".

A file says it, one a line; `#` begins a comment:

```text
source SO              every concept whose id begins with SO:
branch HP:0012823      a concept and all that is below it, and nowhere else
concept DOID:4         a concept alone
type Temporal Concept  every concept of this semantic type
relation Excludes      what is related in this way is not added
keep MESH:D011247      a concept that is not left out, whatever a line above says
term history           a term, whatever it names
```
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from drehr_rag._files import opened
from drehr_rag.errors import TrainingError, UnknownName
from drehr_rag.kg import StoredGraph
from drehr_rag.kg._keys import key_of

KINDS = ("source", "branch", "concept", "type", "relation", "keep", "term")

Line = tuple[str, str]


@dataclass(frozen=True)
class LeaveOut:
    """What is left out, by kind."""

    sources: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()
    concepts: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    terms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "LeaveOut":
        """From pairs of kind and value."""
        found: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for kind, value in lines:
            found[kind].add(key_of(value) if kind == "term" else value)
        return cls(*(frozenset(found[kind]) for kind in KINDS))

    @classmethod
    def read(cls, *given: str | Path, default: bool = True) -> "LeaveOut":
        """Of files, and of the list that comes with the package unless `default` is off.

        Raises:
            TrainingError: A file cannot be read, or a line is of no known kind.
        """
        lines = [line for file in given for line in read_lines(Path(file))]
        return cls.of([*(default_lines() if default else ()), *lines])

    def checksum(self) -> str:
        """SHA-256 of what it holds, in whatever order the files say it."""
        held = {kind: sorted(values) for kind, values in asdict(self).items()}
        return sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()

    def within(self, graph: StoredGraph) -> "LeaveOut":
        """The same by the ids that the graph calls its concepts by; those it lacks are dropped."""
        return LeaveOut(
            self.sources,
            _own_ids(self.branches, graph),
            _own_ids(self.concepts, graph),
            self.types,
            self.relations,
            _own_ids(self.keep, graph),
            self.terms,
        )

    def drops(self, concept: str, graph: StoredGraph) -> bool:
        """Whether a concept is left out; `self` is `within` the graph."""
        if concept in self.keep:
            return False
        if concept in self.concepts or concept.partition(":")[0] in self.sources:
            return True
        if self.types and not self.types.isdisjoint(graph.semantic_types(concept)):
            return True
        return bool(self.branches) and self._below(concept, graph)

    def _below(self, concept: str, graph: StoredGraph) -> bool:
        """Whether every way up meets a branch: pain is a phenomenon to MeSH, and a symptom too."""
        front, seen, met = [concept], {concept}, False
        while front:
            one = front.pop()
            if one in self.branches:
                met = True
                continue
            above = graph.hypernyms(one)
            if not above:
                return False
            front += [up for up in above if up not in seen]
            seen.update(above)
        return met


def read_lines(file: Path) -> list[Line]:
    """Kind and value of each line; a line without a kind is a term.

    Raises:
        TrainingError: The file cannot be read.
    """
    with opened(file, error=TrainingError) as stream:
        return _lines(stream)


def default_lines() -> list[Line]:
    """Of the list that comes with the package."""
    text = files("drehr_rag.training.stage1").joinpath("leave_out.txt").read_text("utf-8")
    return _lines(text.splitlines())


def _lines(rows: Iterable[str]) -> list[Line]:
    found = []
    for row in rows:
        said = row.partition("#")[0].strip()
        kind, _, value = said.partition(" ")
        if kind in KINDS and value.strip():
            found.append((kind, value.strip()))
        elif said:
            found.append(("term", said))
    return found


def _own_ids(wanted: Iterable[str], graph: StoredGraph) -> frozenset[str]:
    found = set()
    for one in wanted:
        try:
            found.add(graph.concept_id(one))
        except UnknownName:
            continue
    return frozenset(found)
