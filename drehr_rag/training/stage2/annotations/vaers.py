"""VAERS: reports of adverse events, with the MedDRA terms that trained coders gave each.

The coders read the whole report, so a term may be implied (less than a third are written word for
word); most reports are one chunk.
"""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from drehr_rag.errors import TrainingError
from drehr_rag.training.stage2.annotations import note_of
from drehr_rag.training.stage2.annotations._labels import Label, LabelledNote
from drehr_rag.types import Reject

LICENCE = "public domain (US government)"

ENCODING = "cp1252"
"""Of the files up to now (../shared/data/MANIFEST.md)."""

TERMS = tuple(f"SYMPTOM{i}" for i in range(1, 6))

NO_EVENT = {"unevaluable event", "no adverse event", "no adverse effect", "adverse event"}
"""Terms by which the coders say that there is nothing to code: no entity of any chunk."""


def read(place: Path) -> Iterator[LabelledNote | Reject]:
    """Each report of a year: `SYMPTOM_TEXT` as its text, the coded terms as its labels.

    Args:
        place: `<year>VAERSData.zip`, as the agency publishes it. Notes are called
            `vaers<year>-<VAERS_ID>`.

    Raises:
        TrainingError: The file is no such archive.
    """
    try:
        with zipfile.ZipFile(place) as archive:
            terms = _terms(archive, place)
            year = place.name[:4]
            for number, row in _rows(archive, place, "DATA.csv", ("VAERS_ID", "SYMPTOM_TEXT")):
                key = f"vaers{year}-{row['VAERS_ID']}"
                if not (row["SYMPTOM_TEXT"] or "").strip():
                    yield Reject(str(place), number, "a report without text", key)
                else:
                    yield _labelled(key, row["SYMPTOM_TEXT"], terms.get(row["VAERS_ID"], []))
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, csv.Error) as problem:
        said = getattr(problem, "strerror", None) or type(problem).__name__
        raise TrainingError(f"{place} cannot be read as <year>VAERSData.zip: {said}") from None


def _labelled(key: str, text: str, terms: list[str]) -> LabelledNote:
    kept = [term for term in dict.fromkeys(terms) if term.lower() not in NO_EVENT]
    left_out = Counter({"says that there is no event": len(set(terms)) - len(kept)})
    return LabelledNote(note_of(key, text), tuple(map(Label, kept)), +left_out)


def _terms(archive: zipfile.ZipFile, place: Path) -> dict[str, list[str]]:
    """Terms of each report; a report of more than five has several rows."""
    found: dict[str, list[str]] = {}
    for _, row in _rows(archive, place, "SYMPTOMS.csv", ("VAERS_ID", *TERMS)):
        said = (row[name].strip() for name in TERMS if row[name])
        found.setdefault(row["VAERS_ID"], []).extend(term for term in said if term)
    return found


def _rows(
    archive: zipfile.ZipFile, place: Path, ending: str, columns: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str]]]:
    wanted = [n for n in archive.namelist() if n.upper().endswith(f"VAERS{ending}".upper())]
    if len(wanted) != 1:
        raise TrainingError(f"{place} holds {len(wanted)} files <year>VAERS{ending}, not one")
    with archive.open(wanted[0]) as raw:
        table = csv.DictReader(io.TextIOWrapper(raw, ENCODING, errors="replace", newline=""))
        if missing := set(columns) - set(table.fieldnames or ()):
            raise TrainingError(f"{place}: {wanted[0]} has no column {', '.join(sorted(missing))}")
        for row in table:
            yield table.line_num, row
