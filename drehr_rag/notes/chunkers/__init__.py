"""Notes to chunks: one module a chunker, each with `build(**options)`."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from drehr_rag._registry import find
from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.protocols import Chunker

CountTokens = Callable[[Sequence[str]], list[int]]

__all__ = ["CountTokens", "load_chunker"]


def load_chunker(
    name: str, *, count_tokens: CountTokens, max_tokens: int, **options: Any
) -> Chunker:
    """Load a chunker by name.

    Args:
        name: `sections` or `words`, or a third party's.
        count_tokens: The encoder's own count, special tokens left out.
        max_tokens: The most that the encoder reads, special tokens left out.
        options: The chunker's own, e.g. `cleaning="cliniq"` of `words`.

    Raises:
        UnknownName: No chunker, or no option of it, has this name.
    """
    build = find(__name__, name).build
    try:
        chunker: Chunker = build(count_tokens=count_tokens, max_tokens=max_tokens, **options)
    except TypeError:
        known = [p for p in signature(build).parameters if p not in ("count_tokens", "max_tokens")]
        takes = f"takes only {', '.join(known)}" if known else "has no options"
        wrong = ", ".join(sorted(set(options) - set(known)))
        raise UnknownName(f"chunker {name!r} {takes}, not {wrong}") from None
    except BadArgument:
        raise
    except ValueError as problem:
        raise BadArgument(f"chunker {name!r}: {problem}") from None
    return chunker
