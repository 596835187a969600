"""Make every set, and say whether they are the frozen ones.

python -m benchmarks.training_sets OUT [--data FOLDER]
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.corpora import data_folder
from benchmarks.training_sets.checksums import FROZEN, differences, write_checksums
from benchmarks.training_sets.files import write_set
from benchmarks.training_sets.mtsamples import REPORT, SELECT, mtsamples
from benchmarks.training_sets.ncbi import ncbi
from benchmarks.training_sets.retrieval_set import RetrievalSet
from benchmarks.training_sets.silver_notes import aci_primock
from benchmarks.training_sets.vaers import vaers_sets

MODULE = "benchmarks.training_sets"


def all_sets(data: Path) -> Iterator[tuple[str, RetrievalSet]]:
    """Every set with its name."""
    selecting, reporting = vaers_sets(data)
    yield "vaers2003", selecting
    yield "vaers2004_clean", reporting
    yield "mtsamples_select", mtsamples(data, SELECT)
    yield "mtsamples_report", mtsamples(data, REPORT)
    yield "ncbi", ncbi(data)
    yield "aci_primock", aci_primock(data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all sets and their checksums; exit with 1 if these are not the frozen ones."""
    parser = argparse.ArgumentParser(MODULE, description=__doc__)
    parser.add_argument("out", type=Path, help="a folder; each set becomes one within it")
    parser.add_argument("--data", type=Path, help="the open data, with notes/, kg/, devset/ …")
    options = parser.parse_args(arguments)
    data, names = options.data or data_folder(), []
    try:
        for name, made in all_sets(data):
            names.append(name)
            print(f"{name}: {json.dumps(write_set(options.out / name, made))}", flush=True)
    except FileNotFoundError as problem:
        sys.exit(f"there is no {problem.filename}: name the open data's folder with --data")
    if changed := differences(write_checksums(options.out, names)):
        sys.exit(
            f"{len(changed)} files are not those of {FROZEN.name}: {', '.join(changed)}. "
            "The open data or the code has changed; where no stats.json is among them, it may be "
            "another zlib: compare the unpacked files"
        )


if __name__ == "__main__":
    main()
