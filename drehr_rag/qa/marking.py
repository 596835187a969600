"""What a passage denies, suspects, or says of the past and of relatives: one line for the reader.

It stands behind the passage, never in it: quotes are looked up in the note's own words alone.
"""

from collections.abc import Iterator, Sequence

from drehr_rag.notes.assertion_cues import KINDS, Kind
from drehr_rag.notes.assertions import Scope, scopes
from drehr_rag.types import Mention

Span = tuple[int, int]

LABELS: dict[Kind, str] = {
    "negated": "denied or absent",
    "family": "of relatives",
    "historical": "past",
    "possible": "uncertain",
    "conditional": "only if it happens",
}
"""How each is called, the weightiest first: the line is cut at its end."""

PHRASE = 80
"""Characters of one phrase at most."""

LINE = 600
"""Characters of the line at most, or it would cost more tokens than the passage."""


def marks(
    text: str,
    *,
    section: str | None = None,
    withheld: Sequence[Span] = (),
    known: Sequence[Mention] = (),
) -> str:
    """The line, or nothing if all that the passage mentions is there.

    Args:
        text: The passage's own words.
        section: The heading that it stands under, where the text does not show it.
        withheld: Stretches that the generator does not see.
        known: What the note's annotator says of its mentions; rules give way to it.

    >>> marks("Denies fever or chest pain. Mother had gout.")
    'denied or absent: "fever or chest pain"; of relatives: "gout"'
    """
    phrases: dict[Kind, list[str]] = {kind: [] for kind in LABELS}
    for scope in _outermost(_agreed(scopes(text, section=section), known)):
        if any(_first(scope) < end and start < _last(scope) for start, end in withheld):
            continue
        phrase = _phrase(text, scope)
        if phrase and phrase not in phrases[scope.kind]:
            phrases[scope.kind].append(phrase)
    parts: list[str] = []
    for kind, label in LABELS.items():
        room = LINE - sum(map(len, parts))
        if fitting := list(_fitting(phrases[kind], room - len(label))):
            parts.append(f"{label}: {', '.join(fitting)}")
    return "; ".join(parts)


def _agreed(found: Sequence[Scope], known: Sequence[Mention]) -> list[Scope]:
    """Without scopes of what is known to be there, and with what else is known."""
    kept = [
        scope
        for scope in found
        if not any(
            one.status == "present" and scope.start < one.end and one.start < scope.end
            for one in known
        )
    ]
    said = [
        Scope(one.status, (one.start, one.start), one.start, one.end)
        for one in known
        if one.status != "present"
    ]
    return sorted([*kept, *said], key=lambda scope: scope.start)


def _first(scope: Scope) -> int:
    return min(scope.cue[0], scope.start)


def _last(scope: Scope) -> int:
    return max(scope.cue[1], scope.end)


def _outermost(found: Sequence[Scope]) -> Iterator[Scope]:
    """Without those that lie in another of their kind: "no rash, no fever" is one."""
    reached = dict.fromkeys(KINDS, -1)
    for scope in found:
        if scope.end > reached[scope.kind]:
            reached[scope.kind] = scope.end
            yield scope


def _phrase(text: str, scope: Scope) -> str | None:
    """The words, cut at the side away from the cue."""
    words = " ".join(text[scope.start : scope.end].split()).strip(" .,;:-").replace('"', "'")
    if not any(map(str.isalnum, words)):
        return None
    if len(words) <= PHRASE:
        return f'"{words}"'
    if scope.forward:
        return f'"{words[:PHRASE].rsplit(" ", 1)[0]} …"'
    return f'"… {words[-PHRASE:].split(" ", 1)[-1]}"'


def _fitting(phrases: Sequence[str], room: int) -> Iterator[str]:
    for phrase in phrases:
        room -= len(phrase) + 2
        if room < 0:
            return
        yield phrase
