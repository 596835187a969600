"""Which reports share text with the reports of the training years."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from benchmarks.training_sets.words import plain

SHORT = 8
"""A report of fewer words shares text only with one of the same words: it has few 5-grams."""


def grams(words: list[str], size: int = 5) -> set[tuple[str, ...]]:
    """The different n-grams of a row of words."""
    return set(zip(*(words[shift:] for shift in range(size)), strict=False))


def shared_reports(corpus: dict[str, str], training: Iterable[str]) -> set[str]:
    """The reports of whose different 5-grams half or more occur in one training text."""
    known: dict[tuple[str, ...], list[str]] = defaultdict(list)
    sizes: dict[str, int] = {}
    short: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, text in corpus.items():
        if len(words := plain(text)) < SHORT:
            short[tuple(words)].add(name)
            continue
        sizes[name] = len(grams(words))
        for gram in grams(words):
            known[gram].append(name)
    found: set[str] = set()
    for text in training:
        words = plain(text)
        counts = Counter(name for gram in grams(words) for name in known.get(gram, ()))
        found |= {name for name, count in counts.items() if 2 * count >= sizes[name]}
        found |= short.get(tuple(words), set())
    return found
