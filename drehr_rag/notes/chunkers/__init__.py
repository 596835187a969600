"""Notes to chunks: one module a chunker, each with `build(**options)`."""

from collections.abc import Callable, Sequence
from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.errors import BadArgument
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
    check_options(f"the chunker {name}", build, options, given=("count_tokens", "max_tokens"))
    try:
        chunker: Chunker = build(count_tokens=count_tokens, max_tokens=max_tokens, **options)
    except BadArgument:
        raise
    except ValueError as problem:
        raise BadArgument(f"chunker {name!r}: {problem}") from None
    return chunker
