"""The open notes under `shared/data/notes` as streams, each through the package's own reader."""

import csv
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.types import Note, Reject

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Corpus:
    """Files of one source and the names of its columns."""

    name: str
    paths: tuple[Path, ...]
    fields: Fields

    def notes(self, every: int = 1) -> Iterator[Note | Reject]:
        """Each `every`-th note, read anew from the files."""
        stream = (note for path in self.paths for note in read_notes(path, fields=self.fields))
        return islice(stream, 0, None, every)


def data_folder() -> Path:
    """`$DREHR_SHARED_DATA`, or `../shared/data` beside the checkout; ends the run if absent."""
    folder = Path(os.environ.get("DREHR_SHARED_DATA", ROOT.parent / "shared" / "data"))
    wanted = ("notes/mtsamples_shared.jsonl.gz", "notes/vaers", "devset/mtsamples")
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        sys.exit(
            f"the open data is not at {folder} (there is no {missing[0]}): "
            "set DREHR_SHARED_DATA to the folder that holds notes/ and devset/"
        )
    return folder


def corpora(data: Path, scratch: Path) -> list[Corpus]:
    """MTSamples, ACI-Bench, PriMock57 and VAERS 2004.

    Args:
        data: The folder of `data_folder`.
        scratch: Where the VAERS table is put as UTF-8, which it is not in its zip.
    """
    notes = data / "notes"
    aci = sorted(p for p in (notes / "aci_bench").glob("*.csv") if "metadata" not in p.name)
    return [
        Corpus(
            "MTSamples",
            (notes / "mtsamples_shared.jsonl.gz",),
            Fields({"patient_id": "cluster"}, {"note_type": "Transcribed report"}),
        ),
        Corpus(
            "ACI-Bench",
            tuple(aci),
            Fields(
                {"note_id": "encounter_id", "patient_id": "encounter_id", "text": "note"},
                {"note_type": "Visit note"},
            ),
        ),
        Corpus(
            "PriMock57",
            (notes / "primock57_notes.jsonl.gz",),
            Fields({"patient_id": "note_id", "text": "note"}, {"note_type": "GP consultation"}),
        ),
        Corpus(
            "VAERS 2004",
            (_vaers(notes / "vaers" / "2004VAERSData.zip", scratch / "vaers2004.csv"),),
            Fields({}, {"note_type": "Adverse event report"}),
        ),
    ]


def _vaers(archive: Path, target: Path) -> Path:
    """The reports that have a text, as UTF-8 with our own column names and ISO dates."""
    with zipfile.ZipFile(archive) as files, target.open("w", encoding="utf-8", newline="") as out:
        table = next(name for name in files.namelist() if name.upper().endswith("VAERSDATA.CSV"))
        writer = csv.writer(out)
        writer.writerow(["note_id", "patient_id", "written_at", "text"])
        with io.TextIOWrapper(files.open(table), encoding="cp1252", newline="") as rows:
            for row in csv.DictReader(rows):
                if row["SYMPTOM_TEXT"].strip():
                    day = datetime.strptime(row["RECVDATE"], "%m/%d/%Y").date().isoformat()
                    writer.writerow([row["VAERS_ID"], row["VAERS_ID"], day, row["SYMPTOM_TEXT"]])
    return target
