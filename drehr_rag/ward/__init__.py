"""An invented ward: notes, queries with judgments, and questions, for demo, tests, evaluation.

Nobody in it ever lived. Judgments and evidence are stretches of the notes, so they hold whatever
the chunker. They were written by somebody who saw only the notes, and a second judge checked all
questions and a sample of the judgments (docs/measurements.md).
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal

from drehr_rag.errors import UnknownName
from drehr_rag.types import Note

Split = Literal["dev", "frozen"]


def notes() -> list[Note]:
    """The ward's notes, in the order of patient and time."""
    return [Note.model_validate(row) for row in _rows("notes.jsonl")]


def queries(split: Split | None = None) -> list[dict[str, Any]]:
    """Queries: `query_id`, `text`, `split`; all of them, or those of one half."""
    return _of_split("queries.jsonl", split)


def qrels(split: Split | None = None) -> list[dict[str, Any]]:
    """Judgments: `query_id`, `note_id`, `quote`, `start`, `end`, `match` (CliniQ's types)."""
    wanted = {query["query_id"] for query in queries(split)}
    return [row for row in _rows("qrels.jsonl") if row["query_id"] in wanted]


def questions(split: Split | None = None) -> list[dict[str, Any]]:
    """Questions: `question_id`, `patient_id`, `question`, `kind`, `answer`, `evidence`, `split`.

    `evidence` is a list of `note_id`, `quote`, `start`, `end`; empty, with `answer` None, where
    the notes do not tell.
    """
    return _of_split("questions.jsonl", split)


def fresh(writer: Literal[1, 2, 3] = 1) -> list[dict[str, Any]]:
    """More frozen questions, as `questions` has them: of split `fresh`, `fresh2` or `fresh3`.

    Written later than the others, by people who saw only the notes. Those of `fresh3` were asked
    before the notes were read, from how a patient's first one begins: what one wants to know,
    whether it is told or not. Each absent one of the last two sets says whether it is `wily`: what
    it asks about is named in the notes, but not told.

    Raises:
        UnknownName: There is no such writer.
    """
    names = {1: "fresh.jsonl", 2: "fresh2.jsonl", 3: "fresh3.jsonl"}
    if writer not in names:
        raise UnknownName(f"the ward has no fresh questions by writer {writer!r}: 1, 2 or 3")
    return list(_rows(names[writer]))


def practice() -> list[dict[str, Any]]:
    """More questions to choose on, as `questions` has them, of split `practice`.

    Those of ids `m-` were written by somebody who had read the dev questions, and who then wrote
    what first answered them without a language model. Those of ids `m2-` were written later, by
    somebody who had seen the notes alone: no question, no code, no thesaurus. So were those of
    `m3-`, later still, of half of the patients; their absent ones tell whether they are `wily`.
    """
    return list(_rows("practice.jsonl"))


def _of_split(name: str, split: str | None) -> list[dict[str, Any]]:
    if split not in (None, "dev", "frozen"):
        raise UnknownName(f"the ward has no split {split!r}: dev or frozen")
    return [row for row in _rows(name) if split is None or row["split"] == split]


def _rows(name: str) -> Iterator[dict[str, Any]]:
    text = files(__name__).joinpath(name).read_text("utf-8")
    yield from (json.loads(line) for line in text.split("\n") if line)
