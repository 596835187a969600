"""A query to the terms that say the same in other words, each with its weight and reason."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from drehr_rag.kg.inventories import Inventory
from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.retrievers._linking import Meaning, Mention, link, senses
from drehr_rag.retrievers._terms import COMMON, SHORT, fit, folded, looks_short, natural
from drehr_rag.types import MatchKind

WEIGHTS: Mapping[MatchKind, float] = MappingProxyType(
    {"string": 0.9, "synonym": 0.9, "abbreviation": 0.9, "hyponym": 0.6, "related": 0.0}
)
"""What a mention of each kind is worth beside one of the query's own words, of which the least is
`_widening.STRING`. Chosen on vaers2003 and mtsamples_select (docs/measurements.md): of narrower
terms the coders of the one want less, the rules of the other more; related ones help neither.
"""

MOST: Mapping[MatchKind, int] = MappingProxyType(
    {"string": 4, "synonym": 24, "abbreviation": 12, "hyponym": 64, "related": 16}
)
"""Terms of each kind that are searched for, those of the greatest weight first."""

STEPS = 2
"""Steps down to narrower concepts; chosen likewise, three find no more."""

NARROWER = 128
"""Narrower, or related, concepts whose names are looked at; a disease has up to thousands."""

NAMES = 64
"""Names of one concept that are looked at."""

TOLD = 0.2
"""Share of its uses that an abbreviation must mean the name for."""


@dataclass(frozen=True, slots=True)
class Term:
    """What else is looked for.

    Attributes:
        text: The words, looked for as a phrase.
        kind: How they relate to the query: CliniQ's match type.
        weight: What a mention is worth beside one of the query itself.
        of: The part of the query that it stands for.
        concept: The graph's concept of this name, if one is known.
    """

    text: str
    kind: MatchKind
    weight: float
    of: str
    concept: str | None = None

    @property
    def exact(self) -> bool:
        """Whether capitals matter, as in an abbreviation; in its full name they do not."""
        brief = self.kind == "abbreviation" and len(self.text) <= SHORT
        return brief or looks_short(self.text)


@dataclass(frozen=True, slots=True)
class Expander:
    """Widens queries by a graph.

    Attributes:
        graph: Any knowledge graph.
        inventory: Abbreviations and their senses.
        weights: Of each kind; a kind of weight 0 is left out.
        most: Terms of each kind.
        steps: Down to narrower concepts.
    """

    graph: KnowledgeGraph
    inventory: Inventory | None = None
    weights: Mapping[MatchKind, float] = field(default_factory=lambda: WEIGHTS)
    most: Mapping[MatchKind, int] = field(default_factory=lambda: MOST)
    steps: int = STEPS

    def expand(self, query: str) -> list[Term]:
        """The query's terms, the weightiest first, none that holds another or the query's own.

        A note with "acute heart failure" has "heart failure" too, so the longer adds nothing.
        """
        found: dict[str, Term] = {}
        for mention in link(query, self.graph, self.inventory):
            own = folded(mention.text)
            for term in self._terms(mention):
                plain = folded(term.text)
                key = term.text if term.exact else plain
                known = found.get(key)
                fresh = known is None or term.weight > known.weight
                if fresh and fit(term.text) and own not in plain:
                    found[key] = term
        order = sorted(found.items(), key=lambda item: -item[1].weight)  # else as they were found
        covered = _covered(order)
        return list(self._capped(term for key, term in order if key not in covered))

    def _capped(self, terms: Iterable[Term]) -> Iterator[Term]:
        left = dict(self.most)
        for term in terms:
            if left.get(term.kind, 0) > 0:
                left[term.kind] -= 1
                yield term

    def _terms(self, mention: Mention) -> Iterator[Term]:
        """Terms of one part of the query, with the weights of their kinds."""
        for meaning in mention.meanings:
            for term in self._of_meaning(meaning, mention.text):
                weight = self.weights.get(term.kind, 0.0) * term.weight
                if weight := weight * meaning.share * mention.part:
                    yield Term(term.text, term.kind, weight, term.of, term.concept)

    def _of_meaning(self, meaning: Meaning, said: str) -> Iterator[Term]:
        if meaning.name != said:
            same = meaning.by != "abbreviation"
            yield Term(meaning.name, "string" if same else "abbreviation", 1.0, said)
        names = [meaning.name]
        for concept in meaning.concepts:
            for name in self._names(concept):
                names.append(name)
                kind: MatchKind = "abbreviation" if looks_short(name) else "synonym"
                yield Term(name, kind, 1.0, said, concept)
        yield from self._shorts(names, said)
        if self.weights.get("hyponym"):
            yield from self._others("hyponym", self._narrower(meaning.concepts), said)
        if self.weights.get("related"):
            near = (t for c in meaning.concepts for _, t in self.graph.related(c))
            yield from self._others("related", near, said)

    def _others(self, kind: MatchKind, concepts: Iterable[str], said: str) -> Iterator[Term]:
        for _, concept in zip(range(NARROWER), concepts, strict=False):
            for name in self._names(concept):
                yield Term(name, kind, 1.0, said, concept)

    def _names(self, concept: str) -> Iterator[str]:
        for name in self.graph.synonyms(concept)[:NAMES]:
            yield natural(name)

    def _narrower(self, concepts: Iterable[str]) -> Iterator[str]:
        """Level by level, each once: a ring ends, and a vast tree is left when enough is seen."""
        front = list(concepts)
        seen = set(front)
        for _ in range(self.steps):
            below = []
            for concept in front[:NARROWER]:
                for narrower in self.graph.hyponyms(concept):
                    if narrower not in seen:
                        seen.add(narrower)
                        below.append(narrower)
                        yield narrower
            front = below

    def _shorts(self, names: Iterable[str], said: str) -> Iterator[Term]:
        """What the inventory abbreviates the names as, if those letters often mean them."""
        if self.inventory is None:
            return
        for name in dict.fromkeys(name.lower() for name in names):
            for short, _ in self.inventory.shorts(name):
                if short.lower() in COMMON or len(short) < (3 if short.islower() else 2):
                    continue
                if (share := senses(short, self.inventory).get(name, 0.0)) >= TOLD:
                    yield Term(short, "abbreviation", share, said)


def _covered(order: Iterable[tuple[str, Term]]) -> set[str]:
    """Keys of the terms that hold a shorter one of no less weight: where they stand, it does."""
    kept: dict[str, float] = {}
    covered = set()
    for key, term in sorted(order, key=lambda item: len(item[0])):
        if term.exact:
            continue
        inside = key.split()
        ends = range(1, len(inside) + 1)
        spans = (" ".join(inside[a:b]) for b in ends for a in range(b))
        if any(kept.get(span, 0.0) >= term.weight for span in spans):
            covered.add(key)
        else:
            kept[" ".join(inside)] = term.weight
    return covered
