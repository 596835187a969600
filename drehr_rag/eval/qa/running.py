"""Ask every question once and keep what was said; a run that was killed goes on where it stood."""

import time
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from drehr_rag._arguments import whole
from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.chain import Chain
from drehr_rag.eval.qa.faults import Faults, reason_of, safe
from drehr_rag.eval.qa.files import drop_half_line, json_lines, private
from drehr_rag.eval.qa.manifest import manifest_of, settle
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply, reply_of

NAME = "answers.jsonl"

PATIENCE = 10
"""Failures in a row after which a run stops: the server is gone, or refuses every question."""

Progress = Callable[[int, int, int], None]
"""Called with questions done, questions to do, and errors."""


def run(
    chain: Chain,
    questions: Sequence[Question],
    folder: str | Path,
    *,
    name: str,
    seed: int = 0,
    command: str = "",
    limit: int | None = None,
    progress: Progress | None = None,
) -> list[Reply]:
    """Ask the questions that the folder holds no answer to yet.

    Args:
        chain: What answers.
        questions: The whole set (or split): its checksum goes into the manifest.
        folder: Where `answers.jsonl` and `manifest.json` stand; made if it is not there.
        name: The set's, for the manifest and the report.
        seed: What the chain's own randomness was seeded with.
        command: What was typed, for the manifest.
        limit: Ask only the first so many; a later run without it asks the rest.
        progress: Called after each question.

    Returns:
        The replies to all that were to be asked, in the set's order. A question that failed has
        a reply with `error`; it is asked again when the run is started again.

    Raises:
        EvaluationError: The folder holds another run; or ten questions in a row failed.
        BadArgument: The limit is below 1, or the chain's settings are no JSON values.
    """
    if limit is not None:
        whole(limit, "limit", 1)
    place = Path(folder)
    answers = place / NAME
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise EvaluationError(f"cannot make the folder {place}: {problem.strerror}") from None
    manifest = manifest_of(chain, questions, name=name, seed=seed)
    settle(place, manifest, answers=answers, command=command)
    drop_half_line(answers)
    wanted = questions[:limit]
    done = {r.question_id: r for r in read_replies(answers) if not r.error}
    done = {q.question_id: done[q.question_id] for q in wanted if q.question_id in done}
    left = [question for question in wanted if question.question_id not in done]
    with private(answers, append=True) as file:
        for reply in _asked(chain, left, file, answers):
            done[reply.question_id] = reply
            if progress:
                progress(len(done), len(wanted), sum(r.error is not None for r in done.values()))
    return [done[question.question_id] for question in wanted]


def _asked(
    chain: Chain, questions: Sequence[Question], file: IO[str], path: Path
) -> Iterator[Reply]:
    failed = 0
    for question in questions:
        reply = _ask(chain, question)
        file.write(reply.model_dump_json() + "\n")
        file.flush()
        failed = failed + 1 if reply.error else 0
        yield reply
        if failed == PATIENCE:
            raise EvaluationError(
                f"the last {PATIENCE} questions failed ({reply.error}); what was answered is in "
                f"{path}. Put this right and type the command again: it goes on from there"
            )


def _ask(chain: Chain, question: Question) -> Reply:
    start = time.perf_counter()
    try:
        answer = chain.ask(question)
        seconds = time.perf_counter() - start
        return reply_of(
            question.question_id,
            answer,
            seconds=seconds,
            confidence=_finite(chain.confidence(question, answer)),
            tokens=chain.tokens(),
        )
    except Exception as problem:  # somebody else's chain may raise anything
        return Reply(
            question_id=question.question_id,
            seconds=time.perf_counter() - start,
            error=safe(problem),
        )


def _finite(confidence: float | None) -> float | None:
    if confidence is not None and not isfinite(confidence):
        raise EvaluationError("the chain's confidence is no finite number")
    return confidence


def read_replies(path: str | Path) -> list[Reply]:
    """The replies in a file of answers; of those to one question, the last.

    Raises:
        EvaluationError: A line is no reply: all such lines are counted.
    """
    if not Path(path).exists():
        return []
    faults, found, rows = Faults(path, "lines"), dict[str, Reply](), 0
    for number, row in json_lines(path):
        rows += 1
        try:
            reply = Reply.model_validate(row)
            found[reply.question_id] = reply
        except ValidationError as problem:
            faults.add(reason_of(problem), f"line {number}")
    faults.refuse(rows, "The file was changed, or is of another version: run again elsewhere")
    return list(found.values())
