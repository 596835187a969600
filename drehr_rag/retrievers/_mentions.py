"""What a chunk says of the terms that it was looked for by: there, possible, past, denied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drehr_rag.notes.assertion_cues import cues
from drehr_rag.notes.assertions import Span, assertions_of
from drehr_rag.notes.folding import WORD, fold, folded, spaced, straight
from drehr_rag.notes.told import told
from drehr_rag.retrievers._expansion import Term
from drehr_rag.retrievers._phrases import may_stand, phrase_of, places
from drehr_rag.types import Hit, Match, Status

ORDER: tuple[Status, ...] = (
    "present",
    "possible",
    "conditional",
    "historical",
    "family",
    "negated",
)
"""A chunk is told by the best of its mentions."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query looks for.

    Attributes:
        phrase: The query's own words, folded and spaced; none where the query itself denies
            something: who looks for "no fever" wants what denies it.
    """

    phrase: str

    @classmethod
    def of(cls, query: str) -> "Wanted":
        """Read a query once, however many chunks are asked."""
        denies = any(
            "negated" in one.cue.kinds and one.cue.way in ("forward", "backward")
            for one in cues(query, 0, len(query))
        )
        return cls("" if denies else folded(query))

    def said(self, hit: Hit) -> Status | None:
        """The best that a hit's chunk says of the query, or of the terms that it was found by.

        None if none of them stands in it: the chunk was found by its meaning, or by single words.
        """
        if not self.phrase.strip():
            return None
        said = self._stored(hit) or self._by_rules(hit)
        return next((status for status in ORDER if status in said), None)

    def _stored(self, hit: Hit) -> set[Status]:
        """Of a note that came with its mentions, whose offsets are those of its own words."""
        chunk = hit.chunk
        if not chunk.mentions:
            return set()
        found = list(_mentions(chunk.source, self.phrase, hit.matches))
        return set(told(chunk, found, section=chunk.section))

    def _by_rules(self, hit: Hit) -> set[Status]:
        text = hit.chunk.text
        found = list(_mentions(text, self.phrase, hit.matches))
        if not found:
            return set()
        return {one.status for one in assertions_of(text, found, section=hit.chunk.section)}


def _mentions(text: str, phrase: str, matches: Sequence[Match]) -> Iterator[Span]:
    """Where the query's own words and the terms stand that a hit was found by."""
    terms = [Term(match.term, match.kind, match.weight, match.of) for match in matches]
    asked = [(phrase, False), *((phrase_of(term), term.exact) for term in terms)]
    small = text.lower()
    words = None
    for one, exact in asked:
        letters = text if exact else small
        if not may_stand(one, letters):
            continue
        quick = places(one, letters, exact=exact) if len(letters) == len(text) else None
        if quick is None:
            words = words or words_of(text)
            quick = list(words.places(one, exact=exact))
        yield from quick


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text as `Passage` has them, and where each stands."""

    spans: Sequence[Span]
    written: str
    plain: str

    def places(self, phrase: str, *, exact: bool) -> Iterator[Span]:
        """From the phrase's first word to its last, each time that it stands there."""
        line = self.written if exact else self.plain
        count = phrase.count(" ") - 1
        start = line.find(phrase)
        while start >= 0:
            first = line.count(" ", 0, start)
            yield self.spans[first][0], self.spans[first + count - 1][1]
            start = line.find(phrase, start + 1)


def words_of(text: str) -> Words:
    """Read a text once, however many terms are looked for."""
    found = list(WORD.finditer(straight(text)))
    words = [one[0] for one in found]
    plain = fold(text)
    if len(plain) != len(words):  # small letters may be more: of "İ" one word would be two
        plain = ["".join(fold(word)) for word in words]
    return Words([one.span() for one in found], spaced(words), spaced(plain))
