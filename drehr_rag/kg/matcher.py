"""Finds terms in text: maximum forward matching at the edges of words.

From the left, the longest term that begins and ends at an edge of a word is taken, and the search
goes on behind it. Text and terms are coded with one character a word (`_words`), so that a
leftmost-longest double-array automaton (daachorse) does exactly that: what it finds cannot end
inside a word, and no long match that would do so hides a shorter one.
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from drehr_rag._arguments import check_list, whole
from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg._automata import BLOCK, Automata
from drehr_rag.kg._chunks import Chunks
from drehr_rag.kg._keys import key_of
from drehr_rag.kg._matcher_file import open_parts, write_parts
from drehr_rag.kg._processes import find_in_processes
from drehr_rag.kg._records import Mention
from drehr_rag.kg._words import Words, lowered
from drehr_rag.kg.graph import StoredGraph

Boundaries = Literal["words", "released"]


class Matcher:
    """Terms, ready to be found.

    Attributes:
        boundaries: Where a term may begin and end.
        left_out: Terms that are not looked for, by reason.
    """

    def __init__(
        self,
        terms: Iterable[str],
        *,
        boundaries: Boundaries = "words",
        shortest: int = 2,
        leave_out: Collection[str] = (),
        block: int = BLOCK,
    ) -> None:
        """Build the automaton, or several.

        Args:
            terms: Case and runs of white space do not matter.
            boundaries: `words`: a term begins and ends where no word goes on, so that "CHF/COPD"
                holds both. `released`: as in DR.EHR's code, a term begins only at the start or
                after a space or `(`, and white space is taken as it is; for comparison.
            shortest: Terms of fewer characters are left out: "a" would be found everywhere.
            leave_out: More terms that are not wanted, e.g. "all".
            block: Terms of one automaton; of more, several are built one after the other and take
                less memory for it (`_automata`). They find the same.

        Raises:
            BadArgument: Unknown boundaries, or no list of terms.
            MissingExtra: daachorse is not installed.
        """
        check_list(terms, "terms")
        whole(shortest, "shortest", 1)
        whole(block, "block", 1)
        self._prepare(boundaries)
        self.left_out: dict[str, int] = {}
        self._source = ""
        unwanted = {key_of(term) for term in leave_out}
        self._automata = Automata.build(*self._codes(terms, shortest, unwanted), block=block)

    def _prepare(self, boundaries: Boundaries, words: Iterable[str] = ()) -> None:
        if boundaries not in ("words", "released"):
            raise BadArgument(f"boundaries are 'words' or 'released', not {boundaries!r}")
        self.boundaries: Boundaries = boundaries
        self._words = Words(words, released=boundaries == "released")
        self._chunks = Chunks(self._words)
        self._numbers = array("I")

    def _codes(
        self, terms: Iterable[str], shortest: int, unwanted: Collection[str]
    ) -> tuple["array[int]", Any]:
        """The terms' words as numbers, and where each term ends."""
        codes, ends = array("I"), array("Q")
        for number, term in enumerate(terms):
            key = key_of(term)
            if reason := _unfit(key, shortest, unwanted):
                self.left_out[reason] = self.left_out.get(reason, 0) + 1
                continue
            self._numbers.append(number)
            codes.extend(self._words.encode_term(key))
            ends.append(len(codes))
        return codes, np.asarray(ends).astype(np.int64)

    @classmethod
    def of(cls, graph: StoredGraph, **options: Any) -> "Matcher":
        """For every name in a graph; options as for the constructor."""
        made = cls(graph.terms(), **options)
        made._source = graph.checksum
        return made

    def __len__(self) -> int:
        """How many terms are looked for."""
        return len(self._numbers)

    def find(self, text: str) -> list[Mention]:
        """Every mention, from left to right, none overlapping another."""
        low, origin = lowered(text)
        found: list[Mention] = []
        for base, paragraph in self._chunks.paragraphs(low):
            pieces = self._chunks.split(paragraph)
            codes = self._chunks.encode(pieces)
            if hits := self._automata.find("".join(codes)):
                found += self._chunks.mentions(base, paragraph, pieces, codes, hits, self._numbers)
        if origin is None:
            return found
        return [Mention(origin[m.start], origin[m.end - 1] + 1, m.term) for m in found]

    def find_many(self, texts: Iterable[str], *, workers: int = 1) -> Iterator[list[Mention]]:
        """The mentions of each text, in order; over several processes if `workers` is over 1."""
        check_list(texts, "texts")
        whole(workers, "workers", 1)
        if workers == 1:
            yield from map(self.find, texts)
            return
        yield from find_in_processes(self, texts, workers)

    def save(self, file: str | Path) -> None:
        """Write the automaton, so that it need not be built again."""
        write_parts(Path(file), self._facts(), self._parts())

    @classmethod
    def load(cls, file: str | Path, *, graph: StoredGraph | None = None) -> "Matcher":
        """Read what `save` wrote.

        Args:
            file: Where it lies.
            graph: That it was made of; another one is refused.

        Raises:
            GraphError: The file is missing or damaged, or made of another graph.
        """
        parts = open_parts(Path(file))
        if graph is not None and parts.facts["of"] != graph.checksum:
            raise GraphError(f"{file} was not made of {graph.folder}: make it again (Matcher.of)")
        return cls._restored(parts.facts, list(parts.lengths), parts.read)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._facts(), dict(self._parts()))

    def _facts(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "left_out": self.left_out, "of": self._source}

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        yield "words", "\n".join(self._words.words()).encode()
        yield "terms", self._numbers.tobytes()
        yield from self._automata.parts()

    @classmethod
    def _restored(
        cls, facts: dict[str, Any], names: Collection[str], read: Callable[[str], bytes]
    ) -> "Matcher":
        made = cls.__new__(cls)
        words = read("words").decode()
        made._prepare(facts["boundaries"], words.split("\n") if words else ())
        made.left_out, made._source = facts["left_out"], facts["of"]
        made._numbers.frombytes(read("terms"))
        places = [name.split()[1] for name in names if name.startswith("automaton ")]
        made._automata = Automata.restored(
            (read(f"automaton {at}"), read(f"numbers {at}") if f"numbers {at}" in names else None)
            for at in places
        )
        return made


def _unpickled(facts: dict[str, Any], parts: dict[str, bytes]) -> Matcher:
    return Matcher._restored(facts, parts, parts.__getitem__)


def _unfit(key: str, shortest: int, unwanted: Collection[str]) -> str:
    if len(key) < shortest:
        return f"shorter than {shortest} characters"
    if not any(map(str.isalnum, key)):
        return "no letter or digit"
    return "not wanted" if key in unwanted else ""
