"""The NCBI disease corpus: concepts that people linked, as queries over abstracts."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.training_sets.files import read_table, read_text
from benchmarks.training_sets.retrieval_set import RetrievalSet
from benchmarks.training_sets.terminologies import Names
from benchmarks.training_sets.words import chunked, natural, spaced, within

LEFT_OUT = frozenset({"disease"})
"""A title that is no query."""

Mention = tuple[int, int, str]
"""Start, end, linked ids."""


def read_ncbi(path: Path) -> tuple[dict[str, str], dict[str, list[Mention]]]:
    """Title and abstract by PubMed id, and the mentions in them."""
    texts: dict[str, str] = {}
    mentions: dict[str, list[Mention]] = defaultdict(list)
    for line in read_text(path).splitlines():
        if part := re.match(r"(\d+)\|[ta]\|(.*)", line):
            texts[part[1]] = f"{texts[part[1]]} {part[2]}" if part[1] in texts else part[2]
        elif len(cells := line.split("\t")) == 6:
            mentions[cells[0]].append((int(cells[1]), int(cells[2]), cells[5]))
    return texts, mentions


def linked_concepts(linked: str) -> list[str]:
    """The ids of a mention, as in "D001|MESH:D002" and "OMIM:1+D003"; MeSH's without prefix."""
    return re.split(r"[|+]", linked.replace(" ", "").replace("MESH:", ""))


def written_name(surfaces: Counter[str]) -> str:
    """The most frequent mention that is written out, the longest of equals."""
    full = {name: count for name, count in surfaces.items() if re.search(r"[a-z]{4}", name)}
    counts = full or surfaces
    return max(sorted(counts), key=lambda name: (counts[name], len(name))).lower()


def ncbi(data: Path) -> RetrievalSet:
    """Linked concepts as queries over the abstracts that are not in the training part."""
    corpus: dict[str, str] = {}
    places: Names = defaultdict(set)
    surfaces: dict[str, Counter[str]] = defaultdict(Counter)
    for paper, text, mentions in _papers(data / "linking" / "ncbi_disease"):
        spans, chunks = chunked(f"ncbi-{paper}", text)
        corpus |= chunks
        for start, end, linked in mentions:
            for concept in linked_concepts(linked):
                surfaces[concept][text[start:end]] += 1
                places[concept] |= within(spans, start, end)
    headings = read_table(data / "kg" / "mesh_2015_terms.tsv.gz")
    mesh = {row["mesh_id"]: natural(row["mesh_name"]) for row in headings}
    titles = {key: mesh.get(key) or written_name(found) for key, found in surfaces.items()}
    return judged_abstracts(corpus, places, titles)


def judged_abstracts(corpus: dict[str, str], places: Names, titles: dict[str, str]) -> RetrievalSet:
    """Queries and judgments of the linked concepts; those with the same title are one query."""
    same: dict[str, list[str]] = defaultdict(list)
    for concept in sorted(titles):
        if places[concept] and titles[concept] not in LEFT_OUT:
            same[titles[concept]].append(concept)
    words = {name: spaced(text) for name, text in corpus.items()}
    queries, qrels = [], {}
    for title, concepts in sorted(same.items()):
        ids = [concept if ":" in concept else f"MESH:{concept}" for concept in concepts]
        queries.append({"_id": ids[0], "text": title, "type": "disease", "ids": ids})
        for name in set().union(*(places[concept] for concept in concepts)):
            qrels[ids[0], name] = "string" if spaced(title) in words[name] else "synonym"
    return RetrievalSet(corpus, queries, qrels)


def _papers(folder: Path) -> Iterator[tuple[str, str, list[Mention]]]:
    trained, _ = read_ncbi(folder / "NCBItrainset_corpus.txt.gz")
    for part in ("develop", "test"):
        texts, mentions = read_ncbi(folder / f"NCBI{part}set_corpus.txt.gz")
        for paper in sorted(texts.keys() - trained.keys()):
            yield paper, texts[paper], mentions[paper]
