"""How long passages are to the generator that will read them."""

from collections.abc import Sequence

from drehr_rag.protocols import CountingGenerator, Generator
from drehr_rag.qa.passages import Count, estimate
from drehr_rag.types import Hit

SPARE = 2
"""Times the estimate: where even that fits the budget, nobody is asked. Only text that hardly is
English, to a tokenizer of single bytes, is longer."""


def counter(generator: Generator, hits: Sequence[Hit], budget: int) -> Count:
    """The generator's own count of a text, or the estimate where it has none or need not say.

    Args:
        generator: What will read them.
        hits: What may be read.
        budget: Tokens of all of them together.
    """
    if not isinstance(generator, CountingGenerator):
        return estimate
    if SPARE * sum(estimate(hit.chunk.source) for hit in hits) <= budget:
        return estimate

    def count(text: str) -> int:
        told = generator.count(text)
        return estimate(text) if told is None else told

    return count
