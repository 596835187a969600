"""What a judge says of one sentence, as one line of `verdicts.jsonl`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from drehr_rag.eval.qa.faults import Faults, reason_of
from drehr_rag.eval.qa.files import json_lines

NAME = "verdicts.jsonl"

LABELS = ("supported", "partly", "unsupported")

UNFIT = "the reply does not fit the schema"


class Verdict(BaseModel):
    """What the judge says of one sentence.

    Attributes:
        sentence: Its number in the answer, from 1.
        asked: SHA-256 over the judge's name and the whole prompt: the same is not asked twice.
        verdict: None if there is none: see `reason`.
        reason: Why there is no verdict; never the reply, which may repeat the notes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    question_id: str
    sentence: int
    asked: str
    verdict: Literal["supported", "partly", "unsupported"] | None = None
    reason: str | None = None


def read_verdicts(path: Path) -> list[Verdict]:
    """The verdicts of a file.

    Raises:
        EvaluationError: A line is no verdict: all such lines are counted.
    """
    faults, found, rows = Faults(path, "lines"), [], 0
    for number, row in json_lines(path) if path.exists() else ():
        rows += 1
        try:
            found.append(Verdict.model_validate(row))
        except ValidationError as problem:
            faults.add(reason_of(problem), f"line {number}")
    faults.refuse(rows, "The file was changed: remove it, and the judge is asked again")
    return found
