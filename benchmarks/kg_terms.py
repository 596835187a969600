"""Terms for the knowledge-graph benchmarks: the shared ones, then made-up ones like them."""

import ctypes
import gc
import gzip
import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path

from drehr_rag.kg import StoredGraph, build_graph

SOURCES = """
doid_2018.obographs.json.gz doid_2015.obo.gz doid_ncit_slim_2026.obo.gz doid_rare_slim_2026.obo.gz
doid_2026_labels_parents.tsv.gz ncit_disease_2018.obographs.json.gz hpo_2013.obo.gz
hpo_layperson_synonyms_2026.tsv.gz hpo_labels_recent.tsv.gz uberon_import_2021.obo.gz
symp_2026.obo.gz mesh_2015_tree_numbers.tsv.gz drugbank_open_vocabulary.csv.gz
icd9cm_descriptions.csv.gz?encoding=cp1252 ccs_icd9_dx_2015.csv.gz ccs_icd9_pr_2015.csv.gz
ccs_dx_labels_2015.csv doid_disease_symptom.tsv drug_disease_indications.tsv
mondo_exactmatch_doid.sssom.tsv.gz mondo_exactmatch_mesh.sssom.tsv.gz
mondo_exactmatch_ncit.sssom.tsv.gz
""".split()
"""Files of the shared data's folder `kg`, in order of authority."""

SYLLABLES = (
    "an ber cal dex ef fol gly hex in ju keto lor met nor oxy pro qui ran sul tri ur vir".split()
)
FRESH = 0.1
"""Share of made-up terms with a word that no other term has, as a drug's or a gene's name."""


def shared_graph(data: Path, folder: Path) -> StoredGraph:
    """All shared terminologies in one graph; built once."""
    if not (folder / "manifest.json").exists():
        build_graph(folder, [f"{data}/kg/{name}" for name in SOURCES])
    return StoredGraph(folder)


def terms(graph: StoredGraph, count: int) -> Iterator[str]:
    """The graph's terms, in lower case, then compounds of their words; all different."""
    seen: set[int] = set()  # of hashes: five million strings would show in what is measured
    real = [key for term in graph.terms() if len(key := " ".join(term.lower().split())) > 1]
    words = sorted({word for term in real for word in term.split() if word.isalpha()})
    chance = random.Random(0)
    made = (_compound(chance, real, words) for _ in iter(int, 1))
    for source in (real, made):
        for term in source:
            if len(seen) >= count:
                return
            if (value := hash(term)) not in seen:
                seen.add(value)
                yield term


def _compound(chance: random.Random, real: list[str], words: list[str]) -> str:
    term = f"{chance.choice(words)} {chance.choice(real)}"
    if chance.random() < FRESH:
        name = "".join(chance.choices(SYLLABLES, k=5))
        return f"{name} {term}" if chance.random() < 0.5 else f"{name} {chance.choice(words)}"
    return f"{term} {chance.choice(words)}" if chance.random() < 0.5 else term


def notes(data: Path) -> list[str]:
    """MTSamples' notes, cleaned as DR.EHR cleans: lower case, white space squeezed."""
    with gzip.open(data / "notes" / "mtsamples_shared.jsonl.gz", "rt") as file:
        return [" ".join(json.loads(line)["text"].lower().split()) for line in file]


def resident() -> float:
    """MB of this process in memory, after what was freed has been given back."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def peak() -> float:
    """MB that this process had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
