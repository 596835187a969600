"""Names of concepts, from the terminologies under `kg/`."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.training_sets.files import read_table, read_text
from benchmarks.training_sets.words import spaced

Names = dict[str, set[str]]


def read_obo(path: Path, scopes: str = r"\w+") -> Iterator[tuple[str, list[str], list[str]]]:
    """(id, names, parent ids) of the live terms of an OBO file; the label is the first name."""
    text = "\n".join(read_text(path).splitlines())
    for block in text.split("\n[Term]\n")[1:]:
        label = re.search(r"^name: (.*)", block, re.MULTILINE)
        if label and "is_obsolete: true" not in block:
            synonyms = re.findall(rf'^synonym: "(.*?)" (?:{scopes})\b', block, re.MULTILINE)
            parents = re.findall(r"^is_a: (\S+)", block, re.MULTILINE)
            yield block.split("\n")[0].removeprefix("id: "), [label[1], *synonyms], parents


def name_groups(kg: Path) -> Iterator[set[str]]:
    """Names of one concept each, from HPO with lay synonyms, SYMP, DOID and NCIt."""
    lay = _lay_names(kg / "hpo_layperson_synonyms_2026.tsv.gz")
    yield from lay.values()
    for file in ("hpo_2013", "symp_2026", "doid_2015"):
        for term, names, _ in read_obo(kg / f"{file}.obo.gz"):
            yield set(names) | lay.get(term, set())
    yield from _graph_names(kg / "ncit_disease_2018.obographs.json.gz")


def synonyms_of(kg: Path) -> Names:
    """Every name, spaced → the other names, of 3 letters at least, of the concepts that have it."""
    others: Names = defaultdict(set)
    for group in name_groups(kg):
        names = {spaced(name) for name in group}
        for name in names:
            others[name] |= {other for other in names - {name} if len(other) > 4}
    return others


def _lay_names(path: Path) -> Names:
    found: Names = defaultdict(set)
    for row in read_table(path):
        term, label, synonym = row.values()
        key = term.strip("<>").rpartition("/")[2].replace("_", ":")
        found[key] |= {label.strip('"'), synonym.strip('"')}
    return found


def _graph_names(path: Path) -> Iterator[set[str]]:
    for node in json.loads(read_text(path))["graphs"][0]["nodes"]:
        meta = node.get("meta", {})
        if node.get("lbl") and not meta.get("deprecated"):
            yield {node["lbl"], *(synonym["val"] for synonym in meta.get("synonyms", []))}
