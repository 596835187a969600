"""What a run cost: questions, failures with their reasons, seconds, tokens."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Any

from drehr_rag.eval.qa.replies import Reply


def account(replies: Sequence[Reply]) -> dict[str, Any]:
    """Counts; latency of the questions that did not fail; tokens where they were reported."""
    well = [reply for reply in replies if reply.error is None]
    counted = [reply.tokens for reply in well if reply.tokens is not None]
    seconds = sorted(reply.seconds for reply in well)
    return {
        "questions": len(replies),
        "answered": sum(reply.answered for reply in replies),
        "abstained": sum(reply.abstained for reply in well),
        "failed": len(replies) - len(well),
        "errors": dict(Counter(r.error for r in replies if r.error).most_common()),
        "removed_sentences": sum(reply.removed for reply in well),
        "seconds_p50": percentile(seconds, 0.5),
        "seconds_p95": percentile(seconds, 0.95),
        "tokens_reported_by": len(counted),
        "prompt_tokens": sum(t["prompt"] for t in counted) if counted else None,
        "completion_tokens": sum(t["completion"] for t in counted) if counted else None,
    }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest rank: the least value that is not less than this share of them."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None
