"""What GENIE, a language model on a server, says of a note: its mentions with their assertions.

GENIE (`THUMedInfo/GENIE_en_8b`, PAPER.md §3) structures a note in one pass. It tells phrases and no
places, so these are looked up in the note; what cannot be read or found is counted, never guessed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from drehr_rag.notes.assertions import Span
from drehr_rag.types import Status

PROMPT = "Human:\n{note}\n\n Assistant:"
"""As its authors prompt it; a plain completion, without a chat's marks."""

FIELDS = ("semantic_type", "body_location", "modifier", "value", "unit", "purpose")
"""What it tells of a phrase beside its assertion."""

STATUS: Mapping[str, Status] = {
    "present": "present",
    "absent": "negated",
    "negated": "negated",
    "possible": "possible",
    "conditional": "conditional",
    "hypothetical": "conditional",
    "historical": "historical",
    "family": "family",
    "not associated": "family",
    "associated with someone else": "family",
}
"""Its words for an assertion, and ours. Those of i2b2 2010 besides: PAPER.md lists none."""

MAX_TOKENS = 4096
"""Of a reply, which is several times as long as the note; what is cut off is lost and counted."""

MOST = 5_000
"""Entries of a reply that are looked at: a model may repeat itself without end."""


class Completing(Protocol):
    """A language model: `load_generator("openai", …)` is one."""

    def complete(self, prompt: str, *, max_tokens: int) -> Any:
        """A reply with its `text`, and why it ended in `finish`."""
        ...


@dataclass(frozen=True, slots=True)
class GenieMention:
    """A phrase of a note: `note[start:end]`.

    Attributes:
        status: What is said of it; None if the model's word for it is unknown.
        told: What else the model tells, by `FIELDS`; without what it leaves empty.
    """

    start: int
    end: int
    status: Status | None
    told: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Structured:
    """What came of a note.

    Attributes:
        mentions: By where they stand.
        lost: Why parts of the reply are not among them, and how many each: `not in the note`,
            `not readable`, `without a phrase`, `unknown assertion` (kept, without a status),
            `cut`, `too many`, `no list` (nothing of the reply could be read).
    """

    mentions: tuple[GenieMention, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)


def structured_by(client: Completing, note: str, *, max_tokens: int = MAX_TOKENS) -> Structured:
    """Ask GENIE for a note's mentions.

    Args:
        client: Of the server that serves it; from any thread.
        note: The raw text.
        max_tokens: Longest reply.

    Raises:
        GeneratorError: The server gave no reply.
    """
    reply = client.complete(PROMPT.format(note=note), max_tokens=max_tokens)
    return structured(note, reply.text, cut=reply.finish == "length")


def structured(note: str, reply: str, *, cut: bool = False) -> Structured:
    """What a reply says of a note.

    A reply that is no JSON is read entry by entry, so that one bad entry, prose around the list or
    a missing end cost no more than themselves.

    >>> note = "Denies chest pain. Fever since Monday."
    >>> reply = '[{"phrase": "chest pain", "assertion_status": "absent"}, {"phrase": "fev'
    >>> found = structured(note, reply)
    >>> [(note[one.start : one.end], one.status) for one in found.mentions], dict(found.lost)
    ([('chest pain', 'negated')], {'not readable': 1})
    """
    lost: Counter[str] = Counter({"cut": 1} if cut else {})
    places = _Places(note)
    mentions: list[GenieMention] = []
    for number, entry in enumerate(_entries(reply, lost)):
        if number == MOST:
            lost["too many"] += 1
            break
        phrase = entry.get("phrase")
        if not isinstance(phrase, str) or not re.search(r"\w", phrase):
            lost["without a phrase"] += 1
        elif not (place := places.next(phrase)):
            lost["not in the note"] += 1
        else:
            mentions.append(GenieMention(*place, _status(entry, lost), _told(entry)))
    return Structured(tuple(sorted(mentions, key=lambda one: (one.start, one.end))), dict(lost))


def _entries(reply: str, lost: Counter[str]) -> Iterator[dict[str, Any]]:
    """The objects of a list, whatever stands between them."""
    decoder = json.JSONDecoder()
    place = reply.find("{")
    if place < 0 and not re.search(r"\[\s*\]", reply):
        lost["no list"] += 1
    while place >= 0:
        try:
            entry, end = decoder.raw_decode(reply, place)
        except (ValueError, RecursionError):
            lost["not readable"] += 1
            following = re.compile(r"\{\s*\"").search(reply, place + 1)
            place = following.start() if following else -1
            continue
        yield entry
        place = reply.find("{", end)


def _status(entry: Mapping[str, Any], lost: Counter[str]) -> Status | None:
    word = str(entry.get("assertion_status") or "").strip().lower().replace("_", " ")
    status = STATUS.get(word)
    if status is None:
        lost["unknown assertion"] += 1
    return status


def _told(entry: Mapping[str, Any]) -> dict[str, str]:
    told = {name: entry.get(name) for name in FIELDS}
    return {
        name: str(value).strip()
        for name, value in told.items()
        if isinstance(value, str | int | float) and str(value).strip()
    }


class _Places:
    """Where phrases stand in a note; each place is given once."""

    def __init__(self, note: str) -> None:
        self._note = note
        self._reached = 0
        self._found: dict[str, list[Span]] = {}

    def next(self, phrase: str) -> Span | None:
        """The first behind the last phrase's, as the model goes through the note; else any."""
        words = phrase.lower().split()
        key = " ".join(words)
        if key not in self._found:
            pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
            found = (match.span() for match in pattern.finditer(self._note))
            self._found[key] = [span for span in found if self._whole(*span)]
        left = self._found[key]
        if not left:
            return None
        ahead = (n for n, (start, _) in enumerate(left) if start >= self._reached)
        span = left.pop(next(ahead, 0))
        self._reached = span[0]
        return span

    def _whole(self, start: int, end: int) -> bool:
        """Whether no word goes on at either side."""
        around = self._note[max(0, start - 1) : start + 1], self._note[end - 1 : end + 1]
        return not any(re.fullmatch(r"\w\w", two) for two in around)
