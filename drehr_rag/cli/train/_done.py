"""Which steps of a pipeline are done, in a file beside it: from what, and what they made."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from drehr_rag._files import opened, written
from drehr_rag.cli.train._pipeline import Step
from drehr_rag.cli.train._replacing import stamp
from drehr_rag.errors import TrainingError

NOTHING = {"asked": None, "made": None, "done": False}
"""Of a step that never began; `asked` is empty where something before it changed."""


class Done:
    """What is known of each step, in order: how it was asked for, and the state of what it made.

    Args:
        pipeline: Its file.

    Raises:
        TrainingError: The record is damaged.
    """

    def __init__(self, pipeline: Path) -> None:
        """Read what is there."""
        self.file = pipeline.with_suffix(".done.json")
        self._rows: list[dict[str, Any]] = []
        if self.file.exists():
            with opened(self.file, error=TrainingError) as stream:
                self._rows = _rows(stream.read(), self.file)

    def knows(self, number: int, step: Step) -> bool:
        """Whether the step was done with this command line and files, and its work is there."""
        row = self._row(number)
        there = step.makes is None or step.makes.exists()
        return bool(row["done"] and row["asked"] == asked(step) and there)

    def otherwise(self, number: int, step: Step) -> bool:
        """Whether the step was begun with another command line or files, or what they come from."""
        return self._row(number)["asked"] not in (None, asked(step))

    def same_work(self, number: int, step: Step) -> bool:
        """Whether what the step made is as it was when the step was done."""
        return bool(self._row(number)["made"] == stamp(step.makes))

    def begin(self, number: int, step: Step) -> None:
        """The step begins anew; what comes after it is out of date."""
        self._put(number, {"asked": asked(step), "made": None, "done": False}, False)

    def end(self, number: int, step: Step, *, same: bool) -> None:
        """The step is done; if with other work than before, what comes after it is out of date."""
        self._put(number, {"asked": asked(step), "made": stamp(step.makes), "done": True}, same)

    def _put(self, number: int, row: dict[str, Any], same: bool) -> None:
        after = self._rows[number + 1 :]
        after = after if same else [{"asked": "", "made": None, "done": False} for _ in after]
        missing = number - len(self._rows)
        self._rows = [*self._rows[:number], *[dict(NOTHING)] * missing, row, *after]
        with written(self.file, error=TrainingError) as stream:
            json.dump(self._rows, stream)

    def _row(self, number: int) -> dict[str, Any]:
        return self._rows[number] if number < len(self._rows) else dict(NOTHING)


def asked(step: Step) -> str:
    """A digest of the command line, and of the size and time of each file that it names."""
    files = [stamp(file) for file in _named(step)]
    return sha256(json.dumps([step.words, step.arguments, files]).encode()).hexdigest()


def _named(step: Step) -> Iterator[Path]:
    """Files among the arguments: `FILE`, `NAME:FILE?OPTIONS` or `FILE=WEIGHT`."""
    for argument in step.arguments:
        plain = argument.partition("?")[0]
        for text in (plain, plain.partition(":")[2], plain.rpartition("=")[0]):
            if text and Path(text) != step.makes and Path(text).is_file():
                yield Path(text)
                break


def _rows(text: str, file: Path) -> list[dict[str, Any]]:
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if not isinstance(held, list) or not all(
        isinstance(one, dict) and one.keys() == NOTHING.keys() for one in held
    ):
        raise TrainingError(f"{file} is damaged: delete it, and every step runs again")
    return held
