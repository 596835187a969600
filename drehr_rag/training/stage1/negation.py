"""What a sentence denies: NegEx, with the phrases of its published lists.

Chapman, Bridewell, Hanbury, Cooper and Buchanan, "A simple algorithm for identifying negated
findings and diseases in discharge summaries", Journal of Biomedical Informatics 34 (2001) 301-310;
the phrases that end a negation are of its later version. They stand in `negex.txt`.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Span = tuple[int, int]

_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n\s*\n")


class _Phrase(NamedTuple):
    kind: str
    start: int
    end: int


def negated(text: str, spans: Sequence[Span]) -> list[bool]:
    """For each place in a text, whether its sentence denies what stands there."""
    scopes = list(_scopes(text))
    return [any(first <= start and end <= last for first, last in scopes) for start, end in spans]


def _scopes(text: str) -> Iterator[Span]:
    """The places that a phrase denies: up to a phrase that ends it, or the sentence's end."""
    for begin, end in _sentences(text):
        found = _pattern().finditer(text, begin, end)
        phrases = [_Phrase(_kinds()[" ".join(m[0].lower().split())], *m.span()) for m in found]
        for number, phrase in enumerate(phrases):
            if phrase.kind == "before":
                stops = [p.start for p in phrases[number + 1 :] if p.kind == "stop"]
                yield phrase.end, min([*stops, end])
            elif phrase.kind == "after":
                stops = [p.end for p in phrases[:number] if p.kind == "stop"]
                yield max([begin, *stops]), phrase.start


def _sentences(text: str) -> Iterator[Span]:
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        yield begin, match.start()
        begin = match.end()
    yield begin, len(text)


@cache
def _kinds() -> dict[str, str]:
    """Phrase → kind."""
    text = files("drehr_rag.training.stage1").joinpath("negex.txt").read_text("utf-8")
    rows = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    return {phrase: kind for kind, phrase in rows}


@cache
def _pattern() -> re.Pattern[str]:
    """The longest phrase at each place."""
    phrases = sorted(_kinds(), key=len, reverse=True)
    either = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
