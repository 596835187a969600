"""What the columns of well-known tables mean; a table is recognised by its header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a table holds what; a column is given by its name.

    Attributes:
        id: The concept.
        term: Its preferred name.
        synonyms: More names, split at `separator`.
        prefix: Goes before a bare id, as `MESH` before `D001281`.
        code: How a code is written: `icd9` or `icd9-procedure` put the dot in.
        tree: A tree number; the concept whose number is one part shorter is its parent.
        parent: A broader concept, with its `parent_prefix` and its name in `parent_term`.
        object: A related concept, with its `object_prefix` and its name in `object_term`.
        relation: The relation's name, or the column that holds it.
        relations: Names for what stands in that column.
        others: Whether a row with something else there is kept under that name.
        kind: A semantic type.
        delimiter: Between columns; without it, tab or comma or semicolon, whichever the header has.
        quote: Around a value.
        skip: Rows before the header.
    """

    id: str
    term: str = ""
    synonyms: str = ""
    separator: str = "|"
    prefix: str = ""
    code: str = ""
    tree: str = ""
    parent: str = ""
    parent_prefix: str = ""
    parent_term: str = ""
    object: str = ""
    object_prefix: str = ""
    object_term: str = ""
    relation: str = "related"
    relations: Mapping[str, str] = field(default_factory=dict)
    others: bool = True
    kind: str = ""
    delimiter: str = ""
    quote: str = '"'
    skip: int = 0


SAME = "same as"
IS_A = "is a"

LAYOUTS: dict[str, tuple[Sequence[str], Layout]] = {
    "sssom": (
        ("subject_id", "predicate_id", "object_id"),
        Layout(
            "subject_id",
            object="object_id",
            relation="predicate_id",
            relations={"skos:exactMatch": SAME, "owl:equivalentClass": SAME},
        ),
    ),
    "mesh-trees": (
        ("mesh_id", "mesh_name", "mesh_tree_number"),
        Layout("mesh_id", "mesh_name", prefix="MESH", tree="mesh_tree_number"),
    ),
    "mesh-terms": (("mesh_id", "mesh_name"), Layout("mesh_id", "mesh_name", prefix="MESH")),
    "icd9": (
        ("icd9code", "long_description"),
        Layout("icd9code", "long_description", prefix="ICD9", code="icd9"),
    ),
    "ccs-diagnoses": (
        ("ICD-9-CM CODE", "CCS CATEGORY", "OPTIONAL CCS CATEGORY"),
        Layout(
            "ICD-9-CM CODE",
            prefix="ICD9",
            code="icd9",
            parent="CCS CATEGORY",
            parent_prefix="CCS",
            parent_term="CCS CATEGORY DESCRIPTION",
            quote="'",
            skip=1,
        ),
    ),
    "ccs-procedures": (
        ("ICD-9-CM CODE", "CCS CATEGORY"),
        Layout(
            "ICD-9-CM CODE",
            prefix="ICD9PROC",
            code="icd9-procedure",
            parent="CCS CATEGORY",
            parent_prefix="CCSPROC",
            parent_term="CCS CATEGORY DESCRIPTION",
            quote="'",
            skip=1,
        ),
    ),
    "ccs-labels": (
        ("CCS DIAGNOSIS CATEGORIES", "CCS DIAGNOSIS CATEGORIES LABELS"),
        Layout("CCS DIAGNOSIS CATEGORIES", "CCS DIAGNOSIS CATEGORIES LABELS", prefix="CCS"),
    ),
    "drugbank": (
        ("DrugBank ID", "Common name", "Synonyms"),
        Layout("DrugBank ID", "Common name", "Synonyms", prefix="DRUGBANK", skip=1),
    ),
    "hpo-lay": (
        ("?term", "?term_label", "?layperson"),
        Layout("?term", "?term_label", "?layperson"),
    ),
    "disease-symptom": (
        ("disease_id", "symptom_id"),
        Layout(
            "disease_id",
            "disease_label",
            object="symptom_id",
            object_term="symptom_label",
            relation="has symptom",
        ),
    ),
    "indications": (
        ("doid_id", "drugbank_id", "category"),
        Layout(
            "drugbank_id",
            "drug",
            prefix="DRUGBANK",
            object="doid_id",
            object_term="disease",
            relation="category",
            relations={"DM": "treats", "SYM": "palliates"},
            others=False,
        ),
    ),
    "biolink-edges": (
        ("subject", "predicate", "object"),
        Layout(
            "subject",
            object="object",
            relation="predicate",
            relations={"biolink:subclass_of": IS_A},
        ),
    ),
    "labels": (("id", "label"), Layout("id", "label")),
}
