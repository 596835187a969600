"""Puts a guard before a build's work: a chunk that is held out is left out, with its reason."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from drehr_rag.training.leakage.guard import Guard, Leak
from drehr_rag.training.outcomes import Outcome
from drehr_rag.types import Chunk


@dataclass(frozen=True)
class Guarded:
    """Work for `building.build`, done on what is not held out.

    Attributes:
        work: On a chunk.
        guard: None lets everything pass.
        allow: Whether held-out chunks are used all the same, and counted.
    """

    work: Callable[[Chunk], Outcome]
    guard: Guard | None = None
    allow: bool = False

    def __call__(self, chunk: Chunk) -> Outcome:
        """The work's outcome, or that of a chunk left out."""
        leak = _leak(self.guard, chunk)
        if leak and not self.allow:
            return _left_out(leak)
        return _counted(self.work(chunk), leak)


@dataclass(frozen=True)
class GuardedAsync:
    """Likewise, for `building.build_async`."""

    work: Callable[[Chunk], Awaitable[Outcome]]
    guard: Guard | None = None
    allow: bool = False

    async def __call__(self, chunk: Chunk) -> Outcome:
        """The work's outcome, or that of a chunk left out."""
        leak = _leak(self.guard, chunk)
        if leak and not self.allow:
            return _left_out(leak)
        return _counted(await self.work(chunk), leak)


def leakage_settings(guard: Guard | None, allow: bool) -> dict[str, object]:
    """What a manifest says of leakage."""
    return {"leakage": guard and guard.settings(), "allow_leakage": allow}


def _leak(guard: Guard | None, chunk: Chunk) -> Leak | None:
    return guard.check(chunk.chunk_id, chunk.text) if guard else None


def _left_out(leak: Leak) -> Outcome:
    return Outcome(None, {f"held out: {leak.kind}": 1}, (f"held out ({leak.kind})",))


def _counted(outcome: Outcome, leak: Leak | None) -> Outcome:
    if leak is None:
        return outcome
    return replace(
        outcome, counts={**outcome.counts, f"held out, used all the same: {leak.kind}": 1}
    )
