"""What a build does with a chunk that is held out: leaves it out and says so, or counts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drehr_rag.training.leakage.guard import Guard
from drehr_rag.training.outcomes import Outcome
from drehr_rag.types import Chunk


@dataclass(frozen=True, slots=True)
class Held:
    """What a guard says of one chunk.

    Attributes:
        stop: The outcome of a chunk that is left out; None: go on.
        counts: To be added to the outcome's.
    """

    stop: Outcome | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def held_out(chunk: Chunk, guard: Guard | None, *, allow: bool = False) -> Held:
    """Ask the guard.

    Args:
        chunk: Named `<note_id>_<i>`.
        guard: None lets everything pass.
        allow: Whether held-out chunks are used all the same.
    """
    leak = guard.check(chunk.chunk_id, chunk.text) if guard else None
    if leak is None:
        return Held()
    if allow:
        return Held(counts={f"held out, used all the same: {leak.kind}": 1})
    return Held(Outcome(None, {f"held out: {leak.kind}": 1}, (f"held out ({leak.kind})",)))
