"""What a chunk mentions: terms of the graph, with the concepts that are worth training on."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from drehr_rag.kg import Matcher, StoredGraph
from drehr_rag.kg._keys import key_of
from drehr_rag.training.stage1.leave_out import LeaveOut

SHORTEST = 3
"""Characters of a mention: what two letters mean, the abbreviations' inventories say."""

ACRONYM = 6
"""Characters of an acronym at most."""

SHOUTED = 5
"""Capitals in a row that no acronym has: beside such a word, "ALL" is no leukemia."""

CONCEPTS = 1 << 18
"""Concepts and terms of which is remembered whether they are kept."""

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """A name in a chunk.

    Attributes:
        start: Its first character.
        end: Behind its last.
        term: The name that it gives to train on.
        concepts: What bears this name, the most authoritative first; at least one.
    """

    start: int
    end: int
    term: str = field(repr=False)
    concepts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A match that is no mention.

    Attributes:
        reason: Why.
    """

    start: int
    reason: str


class Mentions:
    """Finds them; a copy for another process has its own memory of what is kept."""

    def __init__(self, graph: StoredGraph, matcher: Matcher, leave_out: LeaveOut) -> None:
        """Look through the graph's terms for acronyms."""
        self._graph, self._matcher = graph, matcher
        self._leave_out = leave_out.within(graph)
        self._acronyms = {
            number: term for number, term in enumerate(graph.terms()) if is_acronym(term)
        }
        self._remember()

    def _remember(self) -> None:
        self._kept = lru_cache(CONCEPTS)(self._is_kept)
        self._of_term = lru_cache(CONCEPTS)(self._concepts_of)

    def __getstate__(self) -> dict[str, object]:
        """Without what is remembered, which cannot be pickled."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_kept", "_of_term")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._remember()

    def find(self, text: str) -> list[Mention | Dropped]:
        """Every match in a chunk, from left to right."""
        return [self._judged(text, *found) for found in self._matcher.find(text)]

    def kept(self, concept: str) -> bool:
        """Whether a concept is worth training on."""
        return self._kept(concept)

    def named(self, term: str) -> tuple[str, ...]:
        """The concepts of a name that are kept."""
        return tuple(concept for concept in self._graph.concepts(term) if self._kept(concept))

    def known(self, term: str) -> bool:
        """Whether the graph has a term."""
        return bool(self._graph.concepts(term))

    def wanted(self, term: str) -> bool:
        """Whether a term is not left out."""
        return key_of(term) not in self._leave_out.terms

    def _judged(self, text: str, start: int, end: int, number: int) -> Mention | Dropped:
        surface = text[start:end]
        acronym = self._acronyms.get(number)
        key = key_of(surface)
        if key in self._leave_out.terms:
            return Dropped(start, "a term that is left out")
        if len(key) < SHORTEST:
            return Dropped(start, "two characters")
        if acronym and not (surface == acronym and not shouted(text, start, end)):
            return Dropped(start, "an acronym in small letters, or among capitals")
        concepts = self._of_term(number)
        if not concepts:
            return Dropped(start, "a concept that is left out")
        return Mention(start, end, key, concepts)

    def _is_kept(self, concept: str) -> bool:
        return not self._leave_out.drops(concept, self._graph)

    def _concepts_of(self, number: int) -> tuple[str, ...]:
        return tuple(filter(self._kept, self._graph.concepts_of_term(number)))


def is_acronym(term: str) -> bool:
    """One short word that its source writes in capitals: COPD, SAMe, but not Mg."""
    if len(term) > ACRONYM or " " in term:
        return False
    capitals = sum(map(str.isupper, term))
    return capitals >= 2 and capitals > sum(map(str.islower, term))


def shouted(text: str, start: int, end: int) -> bool:
    """Whether a word nearby is long and all in capitals, as in a heading."""
    before = _WORD.findall(text, max(0, start - 30), start)[-2:]
    after = _WORD.findall(text, end, end + 30)[:2]
    return any(len(word) >= SHOUTED and word.isupper() for word in (*before, *after))
