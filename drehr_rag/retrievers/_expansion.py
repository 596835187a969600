"""A query to the terms that say the same in other words, each with its weight and reason."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType

from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.nearest import NearestTerms
from drehr_rag.kg.senses import Senses
from drehr_rag.notes.folding import Folds
from drehr_rag.protocols import KnowledgeGraph
from drehr_rag.retrievers._linking import LEAST, By, Meaning, Mention, link, senses
from drehr_rag.retrievers._terms import COMMON, SHORT, fit, looks_short, natural
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

OF_NAME: Mapping[By, MatchKind] = MappingProxyType(
    {
        "exact": "string",
        "normalised": "string",
        "abbreviation": "abbreviation",
        "nearest": "synonym",
    }
)
"""What a name is to the part of the query that was linked to it."""

STEPS = 2
"""Steps down to narrower concepts; chosen likewise, three find no more."""

NARROWER = 128
"""Narrower, or related, concepts whose names are looked at; a disease has up to thousands."""

NAMES = 64
"""Names of one concept that are looked at."""

LOOKED = 2
"""Names of narrower, or related, concepts that are looked at for each that is searched for."""

TOLD = 0.2
"""Share of its uses that an abbreviation must mean the name for."""

HINTED = 0.02
"""Likewise, where what stands around it tells."""


@dataclass(frozen=True, slots=True)
class Term:
    """What else is looked for.

    Attributes:
        text: The words, looked for as a phrase.
        kind: How they relate to the query: CliniQ's match type.
        weight: What a mention is worth beside one of the query itself.
        of: The part of the query that it stands for.
        concept: The graph's concept of this name, if one is known.
        near: The graph's name that `of` was taken for by its vector, if nothing is called so.
        sense: Which of the senses of this abbreviation is meant, if words around it tell.
    """

    text: str
    kind: MatchKind
    weight: float
    of: str
    concept: str | None = None
    near: str | None = None
    sense: int | None = None

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
        nearest: The graph's names by their vectors, for what it knows no name of.
        least: Cosine of a nearest name at least.
        folds: Words that were met.
    """

    graph: KnowledgeGraph
    inventory: Inventory | None = None
    weights: Mapping[MatchKind, float] = field(default_factory=lambda: WEIGHTS)
    most: Mapping[MatchKind, int] = field(default_factory=lambda: MOST)
    steps: int = STEPS
    nearest: NearestTerms | None = None
    least: float = LEAST
    folds: Folds = field(default_factory=Folds, repr=False, compare=False)

    @property
    def told(self) -> Senses | None:
        """What tells the senses of ambiguous abbreviations apart, if anything."""
        return self.inventory.told if self.inventory else None

    def expand(self, query: str) -> list[Term]:
        """The query's terms, the weightiest first, none that holds another or the query's own.

        A note with "acute heart failure" has "heart failure" too, so the longer adds nothing.
        """
        found: dict[str, Term] = {}
        for mention in link(query, self.graph, self.inventory, self.nearest, self.least):
            own = self.folds.spaced(mention.text)
            for term in self._terms(mention):
                plain = self.folds.spaced(term.text)
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
            near = meaning.name if meaning.by == "nearest" else None
            for term in self._of_meaning(meaning, mention.text):
                weight = self.weights.get(term.kind, 0.0) * term.weight
                if weight := weight * meaning.share * mention.part:
                    own = (term.of, term.concept, near, term.sense)
                    yield Term(term.text, term.kind, weight, *own)

    def _of_meaning(self, meaning: Meaning, said: str) -> Iterator[Term]:
        if meaning.name != said:
            yield Term(meaning.name, OF_NAME[meaning.by], 1.0, said)
        names = [meaning.name]
        for concept in meaning.concepts:
            for name, share, sense in self._shared(concept):
                names.append(name)
                kind: MatchKind = "abbreviation" if looks_short(name) else "synonym"
                yield Term(name, kind, share, said, concept, sense=sense)
        yield from self._shorts(names, said)
        if self.weights.get("hyponym"):
            yield from self._others("hyponym", self._narrower(meaning.concepts), said)
        if self.weights.get("related"):
            near = (t for c in meaning.concepts for _, t in self.graph.related(c))
            yield from self._others("related", near, said)

    def _others(self, kind: MatchKind, concepts: Iterable[str], said: str) -> Iterator[Term]:
        names = (
            Term(name, kind, share, said, concept, sense=sense)
            for concept in islice(concepts, NARROWER)
            for name, share, sense in self._shared(concept)
        )
        yield from islice(names, LOOKED * self.most.get(kind, 0))

    def _shared(self, concept: str) -> Iterator[tuple[str, float, int | None]]:
        """The names of a concept; of an ambiguous abbreviation the share and which sense it is."""
        names = [natural(name) for name in self.graph.synonyms(concept)[:NAMES]]
        told = self.told
        for name in names:
            sense = told.sense(name, names) if told and name in told else None
            yield name, 1.0 if told is None or sense is None else told.of(name)[sense].share, sense

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
        for name in dict.fromkeys(name.lower() for name in names):
            for short, share, sense in self._shortened(name):
                if _brief(short) and share >= (TOLD if sense is None else HINTED):
                    yield Term(short, "abbreviation", share, said, sense=sense)

    def _shortened(self, name: str) -> Iterator[tuple[str, float, int | None]]:
        """Abbreviations of a name, each with the share of its uses and, if it has, its sense."""
        if self.inventory is None:
            return
        told = self.inventory.told
        for short, _ in self.inventory.shorts(name):
            if told is None or short not in told:
                yield short, senses(short, self.inventory).get(name, 0.0), None
        if told is not None:
            for short, sense in told.shorts(name):
                known = told.of(short)[sense]
                yield short, known.share, sense if known.cues else None


def _brief(short: str) -> bool:
    return short.lower() not in COMMON and len(short) >= (3 if short.islower() else 2)


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
