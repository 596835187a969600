"""Makes the knowledge graph and the abbreviations that the package ships with.

    python -m benchmarks.packaged_graph [TARGET]

Only of sources that may be passed on: public domain, CC0 and CC BY (NOTICE); HPO's licence wants
its content unmodified, UMLS's forbids it. Same sources, same bytes.
"""

import argparse
import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from benchmarks.corpora import data_folder
from drehr_rag._files import checksum
from drehr_rag.kg import Record, Source, StoredGraph, build_graph
from drehr_rag.kg._files import new_folder, seal
from drehr_rag.kg._spool import Spool
from drehr_rag.kg._write import write
from drehr_rag.kg.packaged import FOLDER, INVENTORIES
from drehr_rag.notes.folding import words
from drehr_rag.retrievers._terms import LONGEST, natural

CC0, CC_BY_4, PUBLIC = "CC0-1.0", "CC-BY-4.0", "public domain"

SOURCES = {
    "doid_2018.obographs.json.gz": CC0,
    "doid_ncit_slim_2026.obo.gz": CC0,
    "doid_rare_slim_2026.obo.gz": CC0,
    "doid_2026_labels_parents.tsv.gz": CC0,
    "ncit_disease_2018.obographs.json.gz": CC_BY_4,
    "symp_2026.obo.gz": CC0,
    "mesh_2015_tree_numbers.tsv.gz": CC0,
    "drugbank_open_vocabulary.csv.gz": CC0,
    "icd9cm_descriptions.csv.gz": PUBLIC,
    "ccs_icd9_dx_2015.csv.gz": PUBLIC,
    "ccs_icd9_pr_2015.csv.gz": PUBLIC,
    "ccs_dx_labels_2015.csv": PUBLIC,
    "mondo_exactmatch_doid.sssom.tsv.gz": CC_BY_4,
    "mondo_exactmatch_mesh.sssom.tsv.gz": CC_BY_4,
    "mondo_exactmatch_ncit.sssom.tsv.gz": CC_BY_4,
}
"""Files of the shared data's folder `kg`, in order of authority, with their licences."""

LEXICONS = Path(__file__).parent / "lexicons"
OWN = {"said.lexicon.txt": CC0, "drugs.lexicon.txt": CC0}
"""Written for this package from common knowledge, by writers who had seen no notes, no queries and
no terminology: how narratives say symptoms, findings and events; brands and classes of drugs.
"""

OPTIONS = {"icd9cm_descriptions.csv.gz": {"encoding": "cp1252"}}

FOREIGN = ("SNOMEDCT", "MTH", "CSP", "OMIM")
"""Where DOID of 2018 took synonyms from by way of UMLS; its authors give all under CC0, but those
vocabularies have terms of their own, so what stands in no other is left out."""

BRANCHES = ("C", "D", "E", "F")
"""MeSH's trees of diseases, drugs, procedures and minds: notes name no organisms or countries."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make both, in the place of those that are there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.packaged_graph")
    parser.add_argument("target", type=Path, nargs="?", default=FOLDER, help="a folder")
    target = parser.parse_args(arguments).target
    facts = build(data_folder(), target)
    size = sum(file["bytes"] for file in facts["files"].values())
    print(f"{facts['concepts']:,} concepts, {facts['terms']:,} names, {size / 2**20:.1f} MB")


def build(data: Path, target: Path) -> dict[str, Any]:
    """Make `graph` and `abbreviations` in a folder; what the graph's manifest says."""
    target.mkdir(parents=True, exist_ok=True)
    _abbreviations(data / "abbrev", target / "abbreviations")
    with TemporaryDirectory() as work:
        files = [data / "kg" / name for name in SOURCES]
        own = [LEXICONS / name for name in OWN]
        sources = [_source(file, Path(work)) for file in files]
        sources += [Source(file, options={"licence": OWN[file.name]}) for file in own]
        whole = build_graph(Path(work) / "whole", sources)
        told = zip([*files, *own], whole.manifest["sources"], strict=True)
        facts = [{**fact, **_file(file)} for file, fact in told]
        return _slim(whole, target / "graph", facts)


def _file(file: Path) -> dict[str, Any]:
    return {"path": file.name, "sha256": {file.name: checksum(file)}}


def _source(file: Path, work: Path) -> Source:
    """A source, rid of what is not wanted."""
    kept = work / file.name.removesuffix(".gz")
    if file.name.startswith("doid_2018"):
        kept.write_text(_own_synonyms(file), "utf-8")
    elif file.name.startswith("mesh"):
        kept.write_text(_branches(file), "utf-8")
    else:
        kept = file
    return Source(kept, options={"licence": SOURCES[file.name], **OPTIONS.get(file.name, {})})


def _branches(file: Path) -> str:
    header, *lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
    return header + "".join(line for line in lines if line.split("\t")[-1].startswith(BRANCHES))


def _own_synonyms(file: Path) -> str:
    content = json.loads(gzip.decompress(file.read_bytes()))
    for graph in content["graphs"]:
        for node in graph["nodes"]:
            meta = node.get("meta", {})
            meta["synonyms"] = [s for s in meta.get("synonyms", ()) if not _foreign(s)]
    return json.dumps(content)


def _foreign(synonym: dict[str, Any]) -> bool:
    known = synonym.get("xrefs") or ()
    return bool(known) and all(xref.startswith(FOREIGN) for xref in known)


def _slim(whole: StoredGraph, target: Path, sources: list[dict[str, Any]]) -> dict[str, Any]:
    """Only what expansion asks for: names that notes may have, and what is narrower."""
    with new_folder(target) as folder, TemporaryFile(dir=folder) as names:
        spool = Spool(names)
        for record in _records(whole):
            spool.add(record)
        names.flush()
        counts = write(spool, names, folder)
        seal(folder, {**counts, "left_out": {}, "sources": sources, "types": [], "relations": []})
    return dict(StoredGraph(target).manifest)


def _records(whole: StoredGraph) -> Iterator[Record]:
    for concept in whole.concept_ids():
        names = tuple(name for name in whole.synonyms(concept) if _sayable(name))
        if names or whole.hyponyms(concept):
            parents = tuple(whole.hypernyms(concept))
            yield Record(concept, names[1:], preferred=next(iter(names), None), parents=parents)


def _sayable(name: str) -> bool:
    return len(words(natural(name))) <= LONGEST and sum(map(str.isalpha, name)) > 1


def _abbreviations(data: Path, target: Path) -> None:
    """The inventories, without the concept ids of UMLS."""
    target.mkdir(exist_ok=True)
    for name in INVENTORIES:
        text = (data / name).read_text("utf-8-sig")
        rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
        if "CUI" in rows[0]:
            at = rows[0].index("CUI")
            rows[1:] = [[*row[:at], "", *row[at + 1 :]] for row in rows[1:]]
        lines = ("\t".join(row) + "\n" for row in rows)
        (target / name).write_text("".join(lines), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
