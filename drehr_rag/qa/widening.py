"""A quote that leaves out the word which denies it is made wider: "denies chest pain"."""

from collections.abc import Sequence

from drehr_rag.notes.assertions import Scope, scopes
from drehr_rag.notes.sentences import sentence_spans

Span = tuple[int, int]


def widened(
    text: str, start: int, end: int, *, section: str | None = None, refused: Sequence[Span] = ()
) -> Span:
    """The stretch with all words of its sentence that deny it, or say that it is past or another's.

    Args:
        text: A passage.
        start: Of a quote in it.
        end: Of it.
        section: The heading that the passage stands under, where it does not show it.
        refused: Stretches that prove nothing; a wider one that touches them is not taken.

    >>> text = "Cough. Denies fever or chest pain."
    >>> start, end = widened(text, text.index("chest"), text.index("pain") + 4)
    >>> text[start:end]
    'Denies fever or chest pain'
    """
    first, last = _sentence(text, start, end)
    cues = [
        (a, b)
        for scope in scopes(text, section=section)
        for a, b in (scope.cue,)
        if first <= a < b <= last and _reaches(scope, start, end)
    ]
    wide = min([start, *(a for a, _ in cues)]), max([end, *(b for _, b in cues)])
    return (start, end) if any(wide[0] < b and a < wide[1] for a, b in refused) else wide


def _reaches(scope: Scope, start: int, end: int) -> bool:
    """As `assertions.assertions_of` reads it: the mention's end next to the cue decides."""
    beside = scope.cue[1] <= scope.start or scope.end <= scope.cue[0]
    return beside and scope.start <= (start if scope.forward else end - 1) < scope.end


def _sentence(text: str, start: int, end: int) -> Span:
    """From the beginning of the first sentence that it stands in to the end of the last."""
    spans = sentence_spans(text)
    first = max((a for a, _ in spans if a <= start), default=start)
    return first, min((b for _, b in spans if b >= end), default=end)
