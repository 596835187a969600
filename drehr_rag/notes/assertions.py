"""What a note says of what it mentions: that it is there, denied, possible, past, a relative's.

Rules in the manner of NegEx and ConText: words such as "denies" reach over what stands behind
them, "is absent" over what stands before, to the end of the sentence or to a word such as "but"
(`assertion_cues.tsv`). What stands under "Family History" is about relatives, under "Past Medical
History" past.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from drehr_rag.errors import BadArgument
from drehr_rag.notes.assertion_cues import KINDS, Cue, Found, Kind, cues
from drehr_rag.notes.sections import USUAL, canonical, split_sections
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.types import Section, Status

Span = tuple[int, int]

SECTIONS: dict[str, Kind] = {
    "family history": "family",
    "past medical history": "historical",
    "past surgical history": "historical",
}
"""Sections (in their usual name) that say it of all that stands in them."""

_RIVALS: dict[Kind, Kind] = {"negated": "possible", "possible": "negated"}
"""A cue of the one stops a scope of the other: "no fever, possible pneumonia"."""


_ITEM = re.compile(r"(?:[-*•+]|\d{1,2}[.)]|[A-Za-z][)])[ \t]")


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is said of a mention.

    Attributes:
        said: All of it, in the order of `KINDS`; nothing: it is there, now, in the patient.
    """

    said: tuple[Kind, ...] = ()

    @property
    def status(self) -> Status:
        """The one word for it: what a relative has is not the patient's, whatever else is said."""
        return self.said[0] if self.said else "present"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a cue reaches.

    Attributes:
        kind: What it says, of `KINDS`.
        cue: Where its words stand; for a section's, where the section begins.
        start: Of the words that it is said of.
        end: Of them.
        forward: Whether they stand behind the cue.
    """

    kind: Kind
    cue: Span
    start: int
    end: int
    forward: bool = True


def assertion_of(text: str, start: int, end: int, *, section: str | None = None) -> Assertion:
    """What a text says of what it mentions at `text[start:end]`.

    A mention with a cue of its own ("no rash" as a whole) is not denied by it.

    Args:
        text: A note, or a part of one.
        start: Of the mention.
        end: Of the mention.
        section: The heading that the text stands under, where the text does not show it.

    Raises:
        BadArgument: The mention lies outside of the text.

    >>> text = "She denies fever, chills or chest pain, but has a cough."
    >>> assertion_of(text, text.index("chest pain"), text.index(", but")).status
    'negated'
    >>> assertion_of(text, text.index("cough"), len(text) - 1).status
    'present'
    """
    return assertions_of(text, [(start, end)], section=section)[0]


def assertions_of(
    text: str, mentions: Sequence[Span], *, section: str | None = None
) -> list[Assertion]:
    """As `assertion_of`, of many mentions at once, in their order.

    Raises:
        BadArgument: A mention lies outside of the text.
    """
    for start, end in mentions:
        if not 0 <= start <= end <= len(text):
            raise BadArgument(
                f"a mention from {start} to {end} is no part of a text of {len(text)} characters: "
                "give its offsets in that very text"
            )
    reached: dict[tuple[Kind, bool], _Reached] = {}
    for scope in scopes(text, section=section, near=mentions):
        reached.setdefault((scope.kind, scope.forward), _Reached()).add(scope.start, scope.end)
    return [
        Assertion(
            tuple(
                kind
                for kind in KINDS
                # The mention's end next to the cue decides: one that holds a cue is not in scope.
                if _holds(reached.get((kind, True)), start)
                or _holds(reached.get((kind, False)), end - 1)
            )
        )
        for start, end in mentions
    ]


def scopes(
    text: str, *, section: str | None = None, near: Sequence[Span] | None = None
) -> list[Scope]:
    """All that cues and sections reach in a text, by where they begin.

    Args:
        text: As in `assertion_of`.
        section: As in `assertion_of`.
        near: Only cues whose sentence, or the list that it opens, holds one of these.
    """
    found: list[Scope] = []
    kind: Kind | None = None
    for part in split_sections(text):
        item = _item(text, part)
        if not item:
            kind = SECTIONS.get(canonical(part.title or section or ""))
        if kind:
            body = part.start if item else part.body
            found.append(Scope(kind, (part.start, part.body), body, part.end))
        for start, end, until in _sentences(text, part):
            if near is not None and not any(a <= until and start <= b for a, b in near):
                continue
            found += _sentence(list(cues(text, start, end)), start, until)
    return sorted(found, key=lambda scope: scope.start)


def _item(text: str, part: Section) -> bool:
    """Whether the heading is an abbreviation in a list, such as COPD alone on a line."""
    heading = text[part.start : part.body].rstrip()
    return bool(heading) and not heading.endswith((":", "*")) and part.title not in USUAL


def _sentences(text: str, part: Section) -> Iterator[tuple[int, int, int]]:
    """Start, end and how far its words reach: "Denies:" over the list that follows it."""
    spans = sentence_spans(text, part.start, part.end)
    until = 0
    for place in reversed(range(len(spans))):
        start, end = spans[place]
        if place + 1 == len(spans) or not _ITEM.match(text, spans[place + 1][0]):
            until = end
        yield start, end, until if text[end - 1] == ":" else end


def _sentence(found: Sequence[Found], start: int, end: int) -> Iterator[Scope]:
    """Forward and backward, each to the next cue that stops it."""
    stops = dict.fromkeys(KINDS, end)
    for one in reversed(found):
        if one.cue.way == "forward":
            for kind in one.cue.kinds:
                yield Scope(kind, (one.start, one.end), one.end, min(stops[kind], one.most))
        stops |= dict.fromkeys(_stopped(one.cue), one.start)
    stops = dict.fromkeys(KINDS, start)
    for one in found:
        if one.cue.way == "backward":
            for kind in one.cue.kinds:
                first = max(stops[kind], one.least)
                yield Scope(kind, (one.start, one.end), first, one.start, forward=False)
        stops |= dict.fromkeys(_stopped(one.cue), one.end)


def _stopped(cue: Cue) -> Sequence[Kind]:
    if cue.way == "end":
        return cue.kinds
    return [_RIVALS[kind] for kind in cue.kinds if kind in _RIVALS]


@dataclass(slots=True)
class _Reached:
    """Stretches of a text that do not overlap, from left to right."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """One that begins nowhere before the last one."""
        if self.ends and start <= self.ends[-1]:
            self.ends[-1] = max(end, self.ends[-1])
        else:
            self.starts.append(start)
            self.ends.append(end)


def _holds(reached: _Reached | None, place: int) -> bool:
    if reached is None:
        return False
    before = bisect_right(reached.starts, place) - 1
    return before >= 0 and place < reached.ends[before]
