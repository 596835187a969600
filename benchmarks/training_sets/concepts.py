"""The concepts of DOID, HPO (phenotypes) and MeSH (symptoms), with names and children."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.training_sets.files import read_table
from benchmarks.training_sets.terminologies import read_obo
from benchmarks.training_sets.words import natural, spaced

PHENOTYPES = "HP:0000118"
"""HPO's phenotypic abnormality: what stands beside it is about inheritance and course."""

GENERIC = frozenset({"disease", "syndrome", "pain", "falls", "artery disease"})
"""No query. Falls are the season as well; artery disease is the parent of hypertension."""

Row = tuple[str, str, list[str], list[str]]
"""Id, label, exact synonyms, labels of the parents."""


@dataclass
class Concept:
    """A concept of one or more terminologies; other names and children's labels are spaced."""

    label: str
    ids: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)


def read_concepts(kg: Path) -> dict[str, Concept]:
    """By spaced label; labels and names of 4 letters at least, without the generic ones."""
    rows = [*_diseases(kg), *_phenotypes(kg), *_symptoms(kg)]
    found = {key: concept for key, concept in joined(rows).items() if len(key) > 5}
    for concept in found.values():
        concept.names = {name for name in concept.names if len(name) > 5}
    return {key: concept for key, concept in found.items() if concept.label not in GENERIC}


def joined(rows: list[Row]) -> dict[str, Concept]:
    """Rows with the same spaced label are one concept; a parent without a row is none."""
    concepts: dict[str, Concept] = {}
    for term, label, names, parents in rows:
        concept = concepts.setdefault(spaced(label), Concept(label.lower()))
        concept.ids += [term] if term not in concept.ids else []
        concept.names |= {spaced(name) for name in names}
        for parent in parents:
            above = concepts.setdefault(spaced(parent), Concept(parent.lower()))
            above.children.add(spaced(label))
    return {key: concept for key, concept in concepts.items() if concept.ids}


def _diseases(kg: Path) -> Iterator[Row]:
    exact = {term: names[1:] for term, names, _ in read_obo(kg / "doid_2015.obo.gz", "EXACT")}
    for row in read_table(kg / "doid_2026_labels_parents.tsv.gz"):
        yield row["id"], row["label"], exact.get(row["id"], []), [row["subClassOf"]]


def _phenotypes(kg: Path) -> Iterator[Row]:
    rows = list(read_obo(kg / "hpo_2013.obo.gz", "EXACT"))
    labels = {term: names[0] for term, names, _ in rows}
    below = {PHENOTYPES}
    while more := {term for term, _, parents in rows if below & set(parents)} - below:
        below |= more
    for term, (label, *names), parents in rows:
        if term in below:
            yield term, label, names, [labels[parent] for parent in parents]


def _symptoms(kg: Path) -> Iterator[Row]:
    for row in read_table(kg / "mesh_2015_symptoms.tsv"):
        yield f"MESH:{row['mesh_id']}", natural(row["mesh_name"]), [], []
