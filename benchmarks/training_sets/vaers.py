"""Reports of adverse events of one year, with the terms that people coded as queries."""

import csv
import io
import random
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from benchmarks.training_sets.files import read_set
from benchmarks.training_sets.overlap import shared_reports
from benchmarks.training_sets.retrieval_set import RetrievalSet, restrict
from benchmarks.training_sets.terminologies import Names, synonyms_of
from benchmarks.training_sets.words import spaced

QUALIFIERS = frozenset(
    "abnormal normal unevaluable error accidental rechallenge exposure complication ineffective "
    "negative positive test procedure nonspecific".split()
)
"""A term with one of these words is about the reporting, or says how a test came out."""

TRAINING = (2000, 2001, 2002)
LEAST, MOST = 3, 0.06
"""Reports that a query has at least; the share of all reports that it has at most."""


def read_vaers(data: Path, year: int) -> tuple[dict[str, str], Names]:
    """Texts (white space folded) and coded terms by report."""
    with zipfile.ZipFile(data / f"notes/vaers/{year}VAERSData.zip") as archive:
        reports, symptoms = (
            _table(archive, f"{year}VAERS{part}.csv") for part in ("DATA", "SYMPTOMS")
        )
    terms: Names = defaultdict(set)
    for row in symptoms:
        found = {row[f"SYMPTOM{number}"].strip() for number in range(1, 6)}
        terms[row["VAERS_ID"]] |= found - {""}
    return {row["VAERS_ID"]: " ".join(row["SYMPTOM_TEXT"].split()) for row in reports}, terms


def draw_reports(texts: dict[str, str], count: int, seed: int) -> dict[str, str]:
    """Reports of 12 to 400 words with different texts, drawn at random."""
    fitting = {name: text for name, text in texts.items() if 12 <= len(text.split()) <= 400}
    unique = {text.lower(): name for name, text in reversed(fitting.items())}
    drawn = random.Random(seed).sample(sorted(unique.values()), count)
    return {name: texts[name] for name in drawn}


def vaers(data: Path, year: int, count: int = 4000) -> RetrievalSet:
    """Coded terms as queries over reports of one year."""
    texts, terms = read_vaers(data, year)
    chosen = draw_reports(texts, count, seed=year)
    names = {report: f"vaers{year % 100:02}-{report}_0" for report in chosen}
    words = {report: spaced(text) for report, text in chosen.items()}
    coded, others = (
        usable_terms({report: terms[report] for report in chosen}),
        synonyms_of(data / "kg"),
    )
    qrels = {
        (_query_id(term), names[report]): vaers_match(spaced(term), others, words[report])
        for term, reports in coded.items()
        for report in reports
    }
    queries = [
        {"_id": _query_id(term), "text": term.lower(), "type": "adverse_event", "ids": []}
        for term in coded
    ]
    return RetrievalSet({names[report]: chosen[report] for report in chosen}, queries, qrels)


def usable_terms(terms: Names) -> Names:
    """Of the terms by report, those that make a query, with their reports."""
    coded: Names = defaultdict(set)
    for report, names in terms.items():
        for name in names:
            coded[name].add(report)
    return {
        name: reports
        for name, reports in sorted(coded.items())
        if LEAST <= len(reports) <= MOST * len(terms) and not QUALIFIERS & set(name.lower().split())
    }


def vaers_match(term: str, others: Names, words: str) -> str:
    """How a coded term shows in a report: all spaced."""
    if term in words:
        return "string"
    named = any(other in words for other in others.get(term, ()))
    return "synonym" if named else "implication"


def vaers_sets(data: Path) -> tuple[RetrievalSet, RetrievalSet]:
    """The set that selects, and the one that reports, less what shares text with training."""
    selecting, reporting = vaers(data, 2003), read_set(data / "devset" / "vaers2004")
    shared = shared_reports(selecting.corpus | reporting.corpus, _training_texts(data))
    selecting.facts["shared_with_2000_2002"] = len(shared & selecting.corpus.keys())
    return selecting, restrict(reporting, lambda name: name not in shared, least=LEAST)


def _training_texts(data: Path) -> Iterable[str]:
    return (text for year in TRAINING for text in read_vaers(data, year)[0].values())


def _query_id(term: str) -> str:
    return re.sub(r"\s+", "_", term)


def _table(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    with io.TextIOWrapper(archive.open(name), "cp1252", newline="") as file:
        return list(csv.DictReader(file))
