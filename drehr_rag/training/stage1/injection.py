"""What the graph adds to a mention: other names, what is broader, what is related."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from drehr_rag.kg._keys import key_of
from drehr_rag.training.stage1.mentions import Mention
from drehr_rag.training.stage1.neighbours import Neighbours
from drehr_rag.training.stage1.ratios import Ratios

Kind = Literal["synonyms", "hypernyms", "related"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Added:
    """A term that a mention brings along."""

    kind: Kind
    term: str
    concept: str


@dataclass(frozen=True)
class Injection:
    """Draws what is added.

    Attributes:
        neighbours: What there is to add.
        ratios: How much of it.
    """

    neighbours: Neighbours
    ratios: Ratios

    def of(self, mention: Mention, chance: random.Random) -> Iterator[Added]:
        """What is added to a mention; the same for the same state of `chance`."""
        own = mention.concepts
        yield from self._synonyms(mention, chance)
        up = [above for one in own for above in self.neighbours.above(one)]
        most = self.ratios.hypernyms, self.ratios.hypernym_terms
        yield from self._others("hypernyms", up, own, most, chance)
        beside = [other for one in own for other in self.neighbours.beside(one)]
        most = self.ratios.related, self.ratios.related_terms
        yield from self._others("related", beside, own, most, chance)

    def _synonyms(self, mention: Mention, chance: random.Random) -> Iterator[Added]:
        """Other names of all its concepts; preferred ones first, the rest by chance."""
        first: dict[str, Added] = {}
        rest: dict[str, Added] = {}
        for concept in mention.concepts:
            for number, term in enumerate(self.neighbours.terms(concept)):
                pool = rest if number else first
                pool.setdefault(key_of(term), Added("synonyms", term, concept))
        rest = {key: added for key, added in rest.items() if key not in first}
        for pool in (first, rest):
            pool.pop(key_of(mention.term), None)
        found = list(first.values())[: self.ratios.synonyms]
        yield from found
        yield from _some(list(rest.values()), self.ratios.synonyms - len(found), chance)

    def _others(
        self,
        kind: Kind,
        concepts: Sequence[str],
        own: Sequence[str],
        most: tuple[int, int],
        chance: random.Random,
    ) -> Iterator[Added]:
        """Of some concepts, the preferred name, and others by chance."""
        most_concepts, most_terms = most
        if not (most_concepts and most_terms):
            return
        named = [one for one in dict.fromkeys(concepts) if one not in own]
        for concept in _some(named, most_concepts, chance):
            preferred, *others = self.neighbours.terms(concept)
            yield Added(kind, preferred, concept)
            yield from (
                Added(kind, term, concept) for term in _some(others, most_terms - 1, chance)
            )


def _some(pool: list[T], most: int, chance: random.Random) -> list[T]:
    """At most so many, by chance, in the pool's order."""
    if most <= 0:
        return []
    if len(pool) <= most:
        return pool
    return [pool[place] for place in sorted(chance.sample(range(len(pool)), most))]
