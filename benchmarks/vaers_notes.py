"""Reports of adverse events as notes, for stage 1: `drehr-rag train build-stage1` reads no zips.

python -m benchmarks.vaers_notes work/vaers.jsonl.gz --years 2000 2001 2002
"""

import argparse
import json
from pathlib import Path

from benchmarks.corpora import data_folder
from benchmarks.training_sets.vaers import TRAINING, read_vaers
from drehr_rag._files import written
from drehr_rag.errors import TrainingError


def main() -> None:
    """Write every report that has a text; a report is a patient of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--years", type=int, nargs="+", default=TRAINING)
    asked = parser.parse_args()
    count = 0
    with written(asked.output, error=TrainingError) as stream:
        for year in asked.years:
            for name, text in read_vaers(data_folder(), year)[0].items():
                if text:
                    note = f"vaers-{name}"
                    row = {"note_id": note, "patient_id": note, "text": text, "year": year}
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                    count += 1
    print(f"{count:,} reports in {asked.output}")


if __name__ == "__main__":
    main()
