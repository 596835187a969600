"""Submissions: one sentence a line, each with its cited sentence ids between pipes at its end."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.archehr.cases import Case
from drehr_rag.eval.qa.faults import Faults
from drehr_rag.eval.qa.files import read_json, write_whole
from drehr_rag.eval.qa.replies import Reply
from drehr_rag.eval.qa.scores.spans import overlaps


@dataclass(frozen=True)
class Line:
    """One sentence of a submitted answer.

    Attributes:
        cited: What stands between the pipes, cut at commas, blanks left out.
        marked: Whether there were pipes at all.
    """

    said: str = field(repr=False)
    cited: tuple[str, ...]
    marked: bool


Submission = dict[str, list[Line]]
"""Case id → lines."""


def lines_of(answer: str) -> list[Line]:
    """The sentences of a submitted answer; empty lines are passed over."""
    return [_line(line.strip()) for line in answer.split("\n") if line.strip()]


def _line(text: str) -> Line:
    """Cut at the last two pipes, whatever follows them, as the shared task's scorer does."""
    parts = text.rsplit("|", 2)
    if len(parts) < 3:
        return Line(text, (), marked=False)
    ids = (name.strip() for name in parts[1].split(","))
    return Line(parts[0].strip(), tuple(name for name in ids if name), marked=True)


def read_submission(path: str | Path, case_ids: Iterable[str]) -> Submission:
    """A submission that answers exactly these cases.

    Raises:
        EvaluationError: It is none; or cases are missing, unknown, or there twice.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise EvaluationError(f"{path} is no list of {{case_id, answer}}: is it a submission?")
    known, found, faults = list(case_ids), Submission(), Faults(path, "cases")
    for number, row in enumerate(rows, 1):
        name, reason = _problem(row, known, found)
        if reason:
            faults.add(reason, name or f"entry {number}")
        else:
            found[name] = lines_of(row["answer"])
    seen = {str(row.get("case_id")) for row in rows if isinstance(row, dict)}
    for name in known:
        if name not in seen:
            faults.add("a case that is missing", name)
    faults.refuse(len(known), "A submission answers each case of the XML once")
    return found


def _problem(row: Any, known: Sequence[str], found: Submission) -> tuple[str, str]:
    """The case's id, and what is wrong with the entry; nothing if it can be used."""
    if not isinstance(row, dict) or "case_id" not in row:
        return "", "no case_id"
    name = str(row["case_id"]).strip()
    if name not in known:
        return "", "a case that the XML does not have"
    if name in found:
        return name, "a case that is there twice"
    return name, "" if isinstance(row.get("answer"), str) else "an answer that is no text"


def write_submission(path: str | Path, cases: Sequence[Case], replies: Sequence[Reply]) -> int:
    """Write what a chain answered; each sentence cites the numbered sentences it rests on.

    Returns:
        Cases without any citation: the shared task's scorer refuses a submission with one.

    Raises:
        EvaluationError: A case was not answered: the run is not complete, or of another set.
    """
    said = {reply.question_id: reply for reply in replies}
    if missing := [case.case_id for case in cases if case.case_id not in said]:
        raise EvaluationError(
            f"{len(missing)} of {len(cases)} cases have no answer in the run: finish it first"
        )
    answers = {case.case_id: _answer(case, said[case.case_id]) for case in cases}
    rows = [{"case_id": name, "answer": answer} for name, answer in answers.items()]
    write_whole(Path(path), json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return sum(not any(line.cited for line in lines_of(text)) for text in answers.values())


def _answer(case: Case, reply: Reply) -> str:
    lines = []
    for sentence in reply.sentences:
        cited = [
            s.sentence_id for s in case.sentences if any(overlaps(s, c) for c in sentence.citations)
        ]
        said = " ".join(sentence.text.split()).replace("|", "/")  # pipes are for citations
        lines.append(f"{said} |{','.join(cited)}|" if cited else said)
    return "\n".join(lines)
