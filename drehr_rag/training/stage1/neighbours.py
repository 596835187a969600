"""What may be added to a concept's mentions: names, broader and related concepts; remembered."""

from collections.abc import Collection
from functools import lru_cache

from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.training.stage1.breadth import Breadth
from drehr_rag.training.stage1.mentions import Mentions

SHORTEST, LONGEST = 2, 200
"""Characters of a term that is added: an encoder reads 16 tokens of an entity (PAPER.md §1), and
some terminologies have definitions among their names, and single letters."""

CONCEPTS = 1 << 16
"""Concepts of which the neighbours are remembered: notes name the same ones again and again."""


class Neighbours:
    """Looks around a concept; a copy for another process has its own memory."""

    def __init__(
        self,
        graph: KnowledgeGraph,
        mentions: Mentions,
        breadth: Breadth,
        relations: Collection[str] = (),
        depth: int = 1,
    ) -> None:
        """Nothing is looked up yet.

        Args:
            graph: Where.
            mentions: Knows which concepts and terms are kept.
            breadth: Knows which concepts are too broad.
            relations: Names of those that lead to nothing that may be added.
            depth: Steps up to a broader concept at most; the paper's is 1 (PAPER.md §1, stage 1).
        """
        self._given = graph, mentions, breadth, relations, depth
        self._graph, self._mentions, self._breadth, self._relations, self._depth = self._given
        self.terms = lru_cache(CONCEPTS)(self._terms)
        self.above = lru_cache(CONCEPTS)(self._above)
        self.beside = lru_cache(CONCEPTS)(self._beside)

    def __reduce__(
        self,
    ) -> tuple[type["Neighbours"], tuple[KnowledgeGraph, Mentions, Breadth, Collection[str], int]]:
        return Neighbours, self._given

    def _terms(self, concept: str) -> tuple[str, ...]:
        """Its names, the preferred first."""
        fit = (n for n in self._graph.synonyms(concept) if SHORTEST <= len(n) <= LONGEST)
        return tuple(name for name in fit if self._mentions.wanted(name))

    def _above(self, concept: str) -> tuple[str, ...]:
        """Broader concepts, the nearest first."""
        return tuple(filter(self._addable, self._graph.hypernyms(concept, depth=self._depth)))

    def _beside(self, concept: str) -> tuple[str, ...]:
        """Related concepts."""
        pairs = self._graph.related(concept)
        others = [other for relation, other in pairs if relation not in self._relations]
        return tuple(filter(self._addable, others))

    def _addable(self, concept: str) -> bool:
        if not self._mentions.kept(concept) or self._breadth.too_broad(concept):
            return False
        return bool(self.terms(concept))
