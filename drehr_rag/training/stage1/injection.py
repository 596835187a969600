"""What the graph adds to a mention: other names, what is broader, what is related."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from drehr_rag.kg._keys import key_of
from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.training.stage1.breadth import Breadth
from drehr_rag.training.stage1.mentions import Mention, Mentions
from drehr_rag.training.stage1.ratios import Ratios

SHORTEST, LONGEST = 2, 200
"""Characters of a term that is added: an encoder reads 16 tokens of an entity (PAPER.md §1), and
some terminologies have definitions among their names, and single letters."""

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
        graph: Where from.
        ratios: How much.
        mentions: Knows which concepts and terms are kept.
        breadth: Knows which concepts are too broad.
        relations: Names of those that lead to nothing that may be added.
    """

    graph: KnowledgeGraph
    ratios: Ratios
    mentions: Mentions
    breadth: Breadth
    relations: Collection[str] = ()

    def of(self, mention: Mention, chance: random.Random) -> Iterator[Added]:
        """What is added to a mention; the same for the same state of `chance`."""
        own = mention.concepts
        yield from self._synonyms(mention, chance)
        up = [above for one in own for above in self.graph.hypernyms(one)]
        most = self.ratios.hypernyms, self.ratios.hypernym_terms
        yield from self._others("hypernyms", up, own, most, chance)
        beside = [other for one in own for other in self._related(one)]
        most = self.ratios.related, self.ratios.related_terms
        yield from self._others("related", beside, own, most, chance)

    def _synonyms(self, mention: Mention, chance: random.Random) -> Iterator[Added]:
        """Other names of all its concepts; preferred ones first, the rest by chance."""
        first: dict[str, Added] = {}
        rest: dict[str, Added] = {}
        for concept in mention.concepts:
            for number, term in enumerate(self._terms(concept)):
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
        """Of some concepts that have names, the preferred one, and others by chance."""
        most_concepts, most_terms = most
        if not (most_concepts and most_terms):
            return
        named = [one for one in dict.fromkeys(concepts) if one not in own and self._addable(one)]
        for concept in _some(named, most_concepts, chance):
            preferred, *others = self._terms(concept)
            yield Added(kind, preferred, concept)
            yield from (
                Added(kind, term, concept) for term in _some(others, most_terms - 1, chance)
            )

    def _related(self, concept: str) -> list[str]:
        pairs = self.graph.related(concept)
        return [other for relation, other in pairs if relation not in self.relations]

    def _addable(self, concept: str) -> bool:
        if not self.mentions.kept(concept) or self.breadth.too_broad(concept):
            return False
        return bool(self._terms(concept))

    def _terms(self, concept: str) -> list[str]:
        """The names that may be added, the preferred first."""
        names = self.graph.synonyms(concept)
        return [
            name
            for name in names
            if SHORTEST <= len(name) <= LONGEST and self.mentions.wanted(name)
        ]


def _some(pool: list[T], most: int, chance: random.Random) -> list[T]:
    """At most so many, by chance, in the pool's order."""
    if most <= 0:
        return []
    if len(pool) <= most:
        return pool
    return [pool[place] for place in sorted(chance.sample(range(len(pool)), most))]
