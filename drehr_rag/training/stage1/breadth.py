"""How broad a concept is: one with thousands below it is true of every chunk, and says nothing."""

from functools import lru_cache

from drehr_rag.protocols import KnowledgeGraph

BROADEST = 700
"""Concepts below a concept that may still be added. In the open terminologies "lung disease" has
601 below it, "therapeutics" 871, "nervous system disease" 5,805. The paper has no such limit."""

CONCEPTS = 1 << 18
"""Of which is remembered whether they are too broad."""


class Breadth:
    """Counts what is below a concept, no further than is needed."""

    def __init__(self, graph: KnowledgeGraph, most: int = BROADEST) -> None:
        """Nothing is counted yet.

        Args:
            graph: The hierarchy.
            most: Concepts below one that is not too broad; 0: none is.
        """
        self.graph, self.most = graph, most
        self._remembered = lru_cache(CONCEPTS)(self._counted)

    def __reduce__(self) -> tuple[type["Breadth"], tuple[KnowledgeGraph, int]]:
        return Breadth, (self.graph, self.most)

    def too_broad(self, concept: str) -> bool:
        """Whether more than `most` concepts are below it, on however many steps."""
        return bool(self.most) and self._remembered(concept)

    def _counted(self, concept: str) -> bool:
        front, seen = [concept], {concept}
        while front and len(seen) <= self.most + 1:
            below = [one for one in self.graph.hyponyms(front.pop()) if one not in seen]
            seen.update(below)
            front += below
        return len(seen) > self.most + 1
