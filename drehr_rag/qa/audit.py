"""A record of each question, for those who must account for who looked at what."""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from drehr_rag import __version__
from drehr_rag.errors import BadArgument
from drehr_rag.types import AllPatients, Answer, Cohort, Hit, Scope


class AuditLog:
    """JSON Lines, readable by its owner alone: one line a question, when its answer is whole.

    Args:
        path: Added to; made if it is not there.
        text: Also keep the question and the answer in words: they are about a patient.

    Raises:
        BadArgument: The file cannot be written.
    """

    def __init__(self, path: str | Path, *, text: bool = False) -> None:
        """Open it once, to know that it can be written."""
        self._path, self._text = Path(path), text
        self._lock = threading.Lock()
        self._write("")

    def record(
        self,
        question: str,
        scope: Scope,
        outcome: Answer | BaseException,
        *,
        caller: str | None,
        model: str,
        read: Sequence[Hit] = (),
    ) -> None:
        """Write who asked what, what was read, and what came of it.

        Raises:
            BadArgument: The file cannot be written any more.
        """
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": caller,
            "scope": scope_record(scope),
            "question_sha256": sha256(question.encode(errors="replace")).hexdigest(),
            "model": model,
            "drehr_rag": __version__,
            "chunk_ids": [hit.chunk.chunk_id for hit in read],
        }
        if self._text:
            line["question"] = question
        if isinstance(outcome, BaseException):
            line["error"] = type(outcome).__name__  # its words may be a server's
        else:
            line |= _outcome(outcome) | ({"answer": outcome.text} if self._text else {})
        self._write(json.dumps(line) + "\n")

    def _write(self, line: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            file = os.open(self._path, flags, 0o600)
            try:
                with self._lock:
                    os.fchmod(file, 0o600)
                    os.write(file, line.encode())  # whole: another process adds lines too
            finally:
                os.close(file)
        except OSError as problem:
            raise BadArgument(
                f"the audit record {self._path} cannot be written: {problem.strerror}"
            ) from None


def _outcome(answer: Answer) -> dict[str, Any]:
    return {
        "abstained": answer.abstained,
        "reason": answer.reason,
        "sentences": len(answer.sentences),
        "removed": answer.removed,
        "cited": list(dict.fromkeys(citation.chunk_id for citation in answer.citations)),
        "seconds": dict(answer.seconds),
        "tokens": None if answer.tokens is None else dict(answer.tokens),
    }


def scope_record(scope: Scope) -> dict[str, Any]:
    """A scope as JSON: its kind, and whom it names."""
    kind = type(scope).__name__
    if isinstance(scope, Cohort):
        return {"kind": kind, "patient_ids": list(scope.sorted_ids)}
    if isinstance(scope, AllPatients):
        return {"kind": kind, "reason": scope.reason}
    return {"kind": kind, **asdict(scope)}
