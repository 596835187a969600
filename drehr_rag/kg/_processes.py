"""Finds terms in many texts at once, in several processes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Protocol

from drehr_rag.errors import GraphError
from drehr_rag.kg._records import Mention

BATCH = 64
"""Texts that a worker takes at a time."""

Found = list[tuple[int, int, int]]


class Finder(Protocol):
    """What each process has a copy of."""

    def find(self, text: str) -> list[Mention]:
        """The mentions in a text."""
        ...


def find_in_processes(
    finder: Finder, texts: Iterable[str], workers: int
) -> Iterator[list[Mention]]:
    """The mentions of each text, in order; few texts are held at a time."""
    batches = _batches(iter(texts))
    with ProcessPoolExecutor(workers, initializer=_start, initargs=(finder,)) as pool:
        running = [pool.submit(_work, batch) for batch in islice(batches, 2 * workers)]
        while running:
            done = running.pop(0).result()
            running += [pool.submit(_work, batch) for batch in islice(batches, 1)]
            yield from (list(map(Mention._make, found)) for found in done)


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, BATCH)):
        yield batch


_own: list[Finder] = []  # of a worker process


def _start(finder: Finder) -> None:
    _own[:] = [finder]


def _work(texts: list[str]) -> list[Found]:
    if not _own:
        raise GraphError("a worker process was not started with a matcher")
    return [[(m.start, m.end, m.term) for m in _own[0].find(text)] for text in texts]
