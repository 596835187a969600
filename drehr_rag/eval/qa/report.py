"""Everything that is measured of a run, as one JSON object.

A question that failed counts as not answered, with nothing retrieved: numbers are never better for
an error. A number that nothing was counted for is None.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drehr_rag.eval.qa.account import account
from drehr_rag.eval.qa.files import read_json, sha256
from drehr_rag.eval.qa.judge import template
from drehr_rag.eval.qa.manifest import NAME as MANIFEST
from drehr_rag.eval.qa.measures import Pair, abstention, answers, citations, retrieval
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply
from drehr_rag.eval.qa.verdicts import LABELS, UNFIT, Verdict
from drehr_rag.types import Note


def report(
    questions: Sequence[Question],
    replies: Sequence[Reply],
    *,
    folder: str | Path,
    notes: Sequence[Note] | None = None,
    faithfulness: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure what was said to these questions.

    Args:
        questions: The set.
        replies: To some or all of its questions.
        folder: Of the run, for its manifest.
        notes: Without them nothing is measured by sentence.
        faithfulness: What `judged` made of the verdicts, if there was a judge.
    """
    said = {reply.question_id: reply for reply in replies}
    pairs = [Pair(q, said[q.question_id]) for q in questions if q.question_id in said]
    return {
        "run": read_json(Path(folder) / MANIFEST),
        "account": account(replies),
        "retrieval": retrieval(pairs),
        "answers": answers(pairs),
        "citations": citations(pairs, notes),
        "abstention": abstention(pairs),
        "faithfulness": faithfulness,
    }


def judged(verdicts: Sequence[Verdict], model: str) -> dict[str, Any]:
    """Verdicts counted; the judge and its prompt are named."""
    counts = {label: sum(v.verdict == label for v in verdicts) for label in LABELS}
    total = sum(counts.values())
    return {
        "judge": model,
        "prompt_sha256": sha256(template()),
        "sentences": len(verdicts),
        "judged": total,
        **counts,
        "supported_share": counts["supported"] / total if total else None,
        "unfit_replies": sum(v.reason == UNFIT for v in verdicts),
        "failed": sum(v.reason not in (None, UNFIT) for v in verdicts),
    }
