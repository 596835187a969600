"""Visit notes of ACI-Bench and PriMock57 with silver labels: made by rules, read by no one."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.training_sets.concepts import Concept, read_concepts
from benchmarks.training_sets.denial import denied
from benchmarks.training_sets.files import read_records
from benchmarks.training_sets.retrieval_set import RetrievalSet
from benchmarks.training_sets.terminologies import Names
from benchmarks.training_sets.words import chunked, fold, within

LEAST = 3
"""Notes that name a query's concept without denial."""

LONGEST = 8
"""Words of a name, at most."""


def aci_primock(data: Path) -> RetrievalSet:
    """Concepts as queries over visit notes, with silver labels."""
    return judged_notes(read_notes(data), read_concepts(data / "kg"))


def read_notes(data: Path) -> dict[str, str]:
    """The notes of ACI-Bench and PriMock57 with different texts."""
    notes = {}
    for path in sorted((data / "notes" / "aci_bench").glob("*.csv")):
        if "metadata" not in path.name:
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                notes |= {f"aci-{path.stem}-{row['encounter_id']}": row["note"] for row in rows}
    rows = read_records(data / "notes" / "primock57_notes.jsonl.gz")
    notes |= {row["note_id"]: row["note"] for row in rows}
    first = {text: name for name, text in reversed(notes.items())}
    return {name: text for text, name in first.items()}


def judged_notes(notes: dict[str, str], concepts: dict[str, Concept]) -> RetrievalSet:
    """The concepts that enough notes name, and the chunks that name them, their names or kinds."""
    names = set(concepts).union(*(concept.names for concept in concepts.values()))
    corpus, affirmed, refused = mention_places(notes, names)
    made = RetrievalSet(corpus, [], {})
    for key, concept in sorted(concepts.items(), key=lambda item: item[1].label):
        own = [*concept.names, key]
        named = {chunk.rpartition("_")[0] for name in own for chunk in affirmed[name]}
        if len(named) >= LEAST:
            query, kinds = concept.ids[0], _kinds(key, concept, concepts)
            made.queries.append(
                {"_id": query, "text": concept.label, "type": "disease", "ids": concept.ids}
            )
            found = {chunk: kind for name, kind in kinds for chunk in affirmed[name]}
            made.qrels |= {(query, chunk): kind for chunk, kind in found.items()}
            only = {chunk for name, _ in kinds for chunk in refused[name]} - found.keys()
            made.negated |= {(query, chunk) for chunk in only}
    return made


def mention_places(notes: dict[str, str], names: set[str]) -> tuple[dict[str, str], Names, Names]:
    """Chunks, and by name the chunks in which it is affirmed and those in which it is denied."""
    corpus: dict[str, str] = {}
    affirmed: Names = defaultdict(set)
    refused: Names = defaultdict(set)
    for note, text in notes.items():
        spans, chunks = chunked(note, text)
        corpus |= chunks
        for name, start, end in find_names(text, names):
            side = refused if denied(text, start) else affirmed
            side[name] |= within(spans, start, end)
    return corpus, affirmed, refused


def find_names(text: str, names: set[str]) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of every spaced name as whole words, one within a longer included."""
    words = [(fold(match[0]), *match.span()) for match in re.finditer(r"[A-Za-z0-9]+", text)]
    for first, (_, start, _) in enumerate(words):
        name = " "
        for word, _, end in words[first : first + LONGEST]:
            name += word + " "
            if name in names:
                yield name, start, end


def _kinds(key: str, concept: Concept, concepts: dict[str, Concept]) -> list[tuple[str, str]]:
    """The names of a concept and of its kinds, the better match later: that one stays."""
    hyponyms = [(name, "hyponym") for name in concept.children & concepts.keys()]
    return [*hyponyms, *((name, "synonym") for name in concept.names), (key, "string")]
