"""What each part of stage 1 is worth: short trainings on MTSamples, each without one part.

    python -m benchmarks.ablations work [--steps 100] [--markdown docs/measurements.md]

`work` is the folder of `drehr-rag train run benchmarks/training.toml`: its graph and sets are used.
What is done is kept in work/ablations and not done again. Reported, not chosen by.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine
from benchmarks.corpora import data_folder
from benchmarks.tables import Table, write_block
from benchmarks.trained import MEASURE, Floats
from drehr_rag.encoders import load_encoder
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.comparing.intervals import intervals
from drehr_rag.eval.scoring import ALL, score
from drehr_rag.eval.task import Task
from drehr_rag.training.evaluating import BenchmarkEvaluator
from drehr_rag.training.presets import preset
from drehr_rag.training.run import train

MODULE = "benchmarks.ablations"
BATCH, POSITIVES, LR = 16, 8, 1e-4
INVENTORIES = (
    "vanderbilt_discharge_sums.tsv",
    "vanderbilt_clinic_notes.tsv",
    "stetson_signout.tsv",
    "columbia_obgyn.txt",
    "berman_pathology.txt",
    "wikipedia_medical.csv",
)
"""As in training.toml, the most trusted first."""

WHOLE = "everything"


@dataclass(frozen=True)
class Variant:
    """One training: how its examples are built, and what its settings change.

    Attributes:
        build: Options of `build-stage1` beside those that all share.
        inventories: Whether abbreviations are looked up.
        settings: Of the training.
    """

    build: tuple[str, ...] = ()
    inventories: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    WHOLE: Variant(),
    "without synonyms": Variant(build=("--synonyms", "0")),
    "without hypernyms": Variant(build=("--hypernyms", "0")),
    "without related": Variant(build=("--related", "0")),
    "without abbreviations": Variant(build=("--no-own-definitions",), inventories=False),
    "without masking": Variant(settings={"mask": False}),
    "multi-similarity, released": Variant(
        settings={"loss": "multi-similarity", "loss_options": {"variant": "released"}}
    ),
    "multi-similarity, Wang 2019": Variant(
        settings={"loss": "multi-similarity", "loss_options": {"variant": "wang2019"}}
    ),
}

Values = dict[str, dict[str, dict[str, float]]]
"""Set → match type → query → its value."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not trained yet, measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=__doc__)
    parser.add_argument("work", type=Path, help="folder of the pipeline")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    options = parser.parse_args(arguments)
    stamp, data = machine.describe(MODULE), data_folder()
    sets = {
        "vaers2004": data / "devset" / "vaers2004",
        "mtsamples_report": options.work / "sets" / "mtsamples_report",
    }
    tasks = {name: load_benchmark("devset", place) for name, place in sets.items()}
    place = options.work / f"ablations-{options.steps}"
    found = {"MiniLM": measured(place / "MiniLM", "offline", tasks)}
    for name, variant in VARIANTS.items():
        folder = place / name.replace(",", "").replace(" ", "-")
        examples = build(place, variant, options.work, data)
        settings = replace(
            preset("tiny"),
            steps=options.steps,
            batch=BATCH,
            positives=POSITIVES,
            lr=LR,
            dropout=0.0,
            freeze=0,
            **variant.settings,
        )
        model = train("offline", [(examples, 1.0)], folder, settings, tensorboard=False).folder
        found[name] = measured(folder, str(model), tasks)
        print(f"{name}: {json.dumps({s: float(column(found[name][s]).mean()) for s in sets})}")
    tables = [
        table_of(name, {each: held[name] for each, held in found.items()}, options.steps)
        for name in sets
    ]
    for table in tables:
        table.show(Console(width=170))
    if options.markdown:
        lines = (f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"])
        head = "\n".join(f"- {line}" for line in lines)
        body = "\n\n".join(table.markdown() for table in tables)
        write_block(
            options.markdown, "ablations", f"## Ablations of stage 1\n\n{head}\n\n{body}", by=MODULE
        )


def build(place: Path, variant: Variant, work: Path, data: Path) -> Path:
    """The examples of a variant; those with the same options are built once."""
    options = list(variant.build)
    if variant.inventories:
        for name in INVENTORIES:
            options += ["--abbreviations", str(data / "abbrev" / name)]
    parts = [*variant.build, "" if variant.inventories else "none"]
    file = place / f"examples{''.join(parts)}.jsonl.gz"
    place.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "drehr_rag.cli", "train", "build-stage1"),
        *("--notes", str(data / "notes" / "mtsamples_shared.jsonl.gz")),
        *("--column", "patient_id=note_id", "--keep", "cluster:0-5/10"),
        *("--kg", str(work / "kg"), "--denied", "negatives"),
        *("--against", f"devset:{work / 'sets' / 'mtsamples_report'}"),
        *("--output", str(file), *options),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # done before: does nothing
    return file


def measured(folder: Path, model: str, tasks: Mapping[str, Task]) -> Values:
    """Every set's values, from the folder where they were kept, or measured."""
    file = folder.with_suffix(".values.json")
    if file.exists():
        kept: Values = json.loads(file.read_text(encoding="utf-8"))
        return kept
    encoder = load_encoder(model)
    found: Values = {}
    for name, task in tasks.items():
        run = BenchmarkEvaluator(task).run(encoder)
        scores = score(task, run, measures={"multi-patient": [MEASURE]})
        found[name] = {cell.match: dict(values) for cell, values in scores.items() if values}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found), encoding="utf-8")
    return found


def table_of(name: str, found: Mapping[str, dict[str, dict[str, float]]], steps: int) -> Table:
    """A row for each training: means of each match type, and what it lost by its change."""
    matches = list(found[WHOLE])
    table = Table(
        f"Ablations: {name}",
        ["training", *matches, f"{WHOLE}, less this"],
        note=f"{MEASURE}, dense alone. {steps} steps of {BATCH} chunks with {POSITIVES} positives, "
        "stage 1 on MTSamples, InfoNCE but where said. Difference over all queries with its 95 % "
        "interval (BCa, paired, queries drawn with replacement); one seed each, so differences of "
        "a few thousandths may be chance.",
    )
    whole = column(found[WHOLE])
    for training, held in found.items():
        means = [float(column(held, match).mean()) for match in matches]
        less = whole - column(held)
        low, high = intervals(less[:, None], np.ones(len(less)))[0]
        shown = "" if training == WHOLE else f"{less.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        table.add(training, *means, shown)
    return table


def column(held: Mapping[str, Mapping[str, float]], match: str = ALL) -> Floats:
    """Values per query, in an order that all trainings share."""
    return np.array([held[match][query] for query in sorted(held[match])])


if __name__ == "__main__":
    main()
