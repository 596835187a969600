"""Lists of abbreviations with their senses, as several groups publish them.

Read are the files of github.com/lisavirginia/clinical-abbreviations: Vanderbilt (variants with
counts, CUI, share), Stetson (share), Columbia, Berman, Wikipedia.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from drehr_rag.errors import GraphError
from drehr_rag.kg._keys import key_of
from drehr_rag.kg.loaders._open import reading
from drehr_rag.kg.senses import Senses

NONE = "not an abbreviation"
"""What Vanderbilt's lists call a use of the letters as a plain word."""

_TRIAL = re.compile(r'^\s*"([^"]+)":"(.+)"\s*$')


@dataclass(frozen=True, slots=True)
class Sense:
    """What an abbreviation may stand for.

    Attributes:
        long: The full name.
        share: Of the uses of the abbreviation in the counted notes, from 0 to 1; None if nobody
            counted.
        cui: UMLS concept, where the inventory gives one.
        surfaces: How it is written in notes; empty if not said.
    """

    long: str
    share: float | None = None
    cui: str | None = None
    surfaces: tuple[str, ...] = ()


class Inventory:
    """Senses by abbreviation.

    Where several files know an abbreviation, shares are those of the first that counted; the
    others' senses are added without.

    Attributes:
        told: Those that are told apart by what stands around them, if any.
    """

    def __init__(self, files: Iterable[Path], told: Senses | None = None) -> None:
        """Read files, the most trusted first.

        Raises:
            GraphError: One is missing or of no known form.
        """
        self.told = told
        self._senses: dict[str, dict[str, Sense]] = {}
        self._surfaces: dict[str, str] = {}
        for file in files:
            self._add(read_inventory(file))

    def __len__(self) -> int:
        """How many abbreviations there are."""
        return len(self._senses)

    def senses(self, short: str) -> list[Sense]:
        """Senses of an abbreviation as it is written in a note, the most frequent first."""
        found = self._senses.get(self._surfaces.get(short, ""), {})
        return sorted(
            found.values(),
            key=lambda sense: -1.0 if sense.share is None else sense.share,
            reverse=True,
        )

    def shorts(self, long: str) -> list[tuple[str, float | None]]:
        """How notes abbreviate a name, each with its share of the uses of those letters.

        As written, case and all; the surest first, those that nobody counted last.
        """
        found = self._by_name.get(key_of(long), [])
        return sorted(found, key=lambda one: (0.0 if one[1] is None else -one[1], one[0]))

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, float | None]]]:
        """Name → surfaces with the share of this sense."""
        found: dict[str, list[tuple[str, float | None]]] = defaultdict(list)
        for surface, short in self._surfaces.items():
            for sense in self._senses[short].values():
                if sense.long != NONE and (not sense.surfaces or surface in sense.surfaces):
                    found[key_of(sense.long)].append((surface, sense.share))
        return dict(found)

    def counted(self, least: float) -> dict[str, Sense]:
        """The foremost sense of each abbreviation, as written, if it has at least this share.

        Small and capital letters matter. Nobody counts for most lists how often "and" means
        "axillary node dissection": an abbreviation without a share is not here.
        """
        found = {}
        for short in self._surfaces:
            sense = self.senses(short)[0]
            if sense.share is not None and sense.share >= least and sense.long != NONE:
                found[short] = sense
        return found

    def _add(self, rows: Iterable[tuple[str, Sense]]) -> None:
        fresh: dict[str, dict[str, Sense]] = defaultdict(dict)
        for short, sense in rows:
            key = short.lower()
            fresh[key].setdefault(sense.long.lower(), sense)
            written = sense.surfaces or ((short, short.upper()) if short == key else (short,))
            for surface in written:
                self._surfaces.setdefault(surface, key)
        for key, senses in fresh.items():
            known = self._senses.setdefault(key, {})
            counted = any(sense.share is not None for sense in known.values())
            for name, sense in senses.items():
                if name not in known:
                    known[name] = replace(sense, share=None) if counted else sense
                elif not counted:
                    known[name] = replace(known[name], share=sense.share)


def read_inventory(file: Path) -> Iterator[tuple[str, Sense]]:
    """Each abbreviation with one of its senses.

    Raises:
        GraphError: The file is missing or of no known form.
    """
    with reading(file) as lines:
        first = lines.readline()
        lines.seek(0)
        if first.startswith("abbreviation\tsense\t"):
            yield from _vanderbilt(csv.DictReader(lines, delimiter="\t"))
        elif first.startswith('"abr","long_form"'):
            yield from ((r["abr"], Sense(r["long_form"])) for r in csv.DictReader(lines))
        elif re.match(r"[^\t]+\t[^\t]+\t[\d.]+\s*$", first):
            rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            yield from ((row[0], Sense(row[1], float(row[2]))) for row in rows if len(row) == 3)
        elif _TRIAL.match(first) or " = " in first:
            yield from _lines(lines)
        elif re.match(r"[A-Z0-9]\S* \S", first):
            yield from _spaced(lines)
        else:
            raise GraphError(
                f"{file} is no inventory of a known form: give a CSV with abr and long_form"
            )


def _vanderbilt(rows: Iterable[dict[str, str]]) -> Iterator[tuple[str, Sense]]:
    for row in rows:
        surfaces = tuple(part.rpartition("_")[0] for part in (row["variation"] or "").split("|"))
        cui = (row["CUI"] or "").upper()
        yield (
            row["abbreviation"],
            Sense(
                row["sense"].strip(),
                float(row["frequency"] or 0),
                cui if re.fullmatch(r"C\d{7}", cui) else None,
                tuple(surface for surface in surfaces if surface),
            ),
        )


def _lines(lines: Iterable[str]) -> Iterator[tuple[str, Sense]]:
    for line in lines:
        if trial := _TRIAL.match(line):
            yield trial[1], Sense(trial[2])
        elif " = " in line:
            short, _, long = line.partition(" = ")
            yield short.strip(), Sense(long.strip())


def _spaced(lines: Iterable[str]) -> Iterator[tuple[str, Sense]]:
    for line in lines:
        short, _, long = line.strip().partition(" ")
        if long.strip():
            yield short, Sense(long.strip())
