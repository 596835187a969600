"""Options by which held-out data is kept out of the training."""

from itertools import chain
from pathlib import Path
from typing import Annotated, Optional

import typer

from drehr_rag.errors import BadArgument
from drehr_rag.training.leakage import Guard, HeldOutIds, NearTexts, held_out_texts
from drehr_rag.training.leakage.near_texts import THRESHOLD

HeldOutFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--held-out", help="Ids of notes or chunks that are not trained on.", metavar="FILE"
    ),
]
Against = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--against",
        help="Chunks much like a text of this benchmark, or of notes:FILE, are not trained on; "
        "may be repeated.",
        metavar="BENCHMARK:PLACE",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        "--leak-threshold",
        help="Share of five-word shingles of the smaller text that makes two texts alike.",
    ),
]
Templates = Annotated[
    str,
    typer.Option(
        "--templates",
        help="Chunks that share only what stands in several held-out notes: drop, or keep.",
    ),
]
Allow = Annotated[
    bool,
    typer.Option("--allow-leakage", help="Use held-out chunks all the same; the manifest says so."),
]

DEFAULT = THRESHOLD


def guard_of(
    held_out: Path | None, against: list[str] | None, threshold: float, templates: str
) -> Guard | None:
    """The guard that was asked for; None if nothing is held out.

    Raises:
        BadArgument: `--templates` is neither drop nor keep.
        TrainingError: The file of ids is missing, or a source holds no text.
    """
    if templates not in ("drop", "keep"):
        raise BadArgument(f"--templates is drop or keep, not {templates!r}")
    if held_out is None and not against:
        return None
    ids = HeldOutIds.read(held_out) if held_out else None
    texts = chain.from_iterable(map(held_out_texts, against or ()))
    near = NearTexts(texts, threshold=threshold) if against else None
    return Guard(ids=ids, texts=near, templates=templates == "drop")
