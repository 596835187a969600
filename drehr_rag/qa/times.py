"""Which time a question asks about: by its words (`times.txt`) and by the dates in it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_MONTH = "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + "|sept"
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"

_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<y>{_YEAR})-(?P<n>0[1-9]|1[0-2])(?:-(?P<d>0[1-9]|[12]\d|3[01]))?\b",
        rf"\b(?P<d>{_DAY}) (?:of )?(?P<m>{_MONTH})\b\.?(?:,? (?P<y>{_YEAR}))?\b",
        rf"\b(?P<m>{_MONTH})\b\.? (?P<d>{_DAY})\b(?:,? (?P<y>{_YEAR}))?\b(?!\d)",
        rf"\b(?P<m>{_MONTH})\b\.?,? (?:of )?(?P<y>{_YEAR})\b",
        rf"\b(?:in|during|since|until|by|from|of|the|early|late|mid|that|last|this) (?:the )?"
        rf"(?P<m>{'|'.join(_MONTHS)})\b",
        rf"\b(?:in|during|since|of) (?P<y>{_YEAR})\b",
    )
)
"""The fullest first. `3/5` is not read: it is March in one country and May in another."""


@dataclass(frozen=True, slots=True)
class When:
    """A time that a question asks about.

    Attributes:
        words: As they stand in the question.
        prefers: `later`, `earlier`, `admission`, `discharge`, `before admission` or `written`.
        year: With `written`, as `month` and `day`: what the question says of a date.
    """

    words: str = field(repr=False)
    prefers: str
    year: int | None = None
    month: int | None = None
    day: int | None = None


def times(question: str) -> tuple[When, ...]:
    """The times that a question asks about, in the order of its words; often none.

    Args:
        question: In plain words.
    """
    text = re.sub(r"\s", " ", question)
    found: list[tuple[int, int, When]] = []
    for start, end, when in (*_dates(text), *_words(text)):
        if all(end <= first or last <= start for first, last, _ in found):
            found.append((start, end, when))
    return tuple(when for *_, when in sorted(found, key=lambda one: one[0]))


def _dates(text: str) -> Iterator[tuple[int, int, When]]:
    for pattern in _DATES:
        for match in pattern.finditer(text):
            part = match.groupdict()
            month = _month(part)
            day = re.sub(r"\D", "", part.get("d") or "")
            year = int(part["y"]) if part.get("y") else None
            when = When(match[0], "written", year, month, int(day) if day else None)
            yield *match.span(), when


def _month(part: dict[str, str | None]) -> int | None:
    if number := part.get("n"):
        return int(number)
    name = (part.get("m") or "").lower()[:3]
    return next((n for n, month in enumerate(_MONTHS, 1) if name and month[:3] == name), None)


def _words(text: str) -> Iterator[tuple[int, int, When]]:
    for prefers, pattern in _patterns():
        for match in pattern.finditer(text):
            yield *match.span(), When(match[0], prefers)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    lines = files("drehr_rag.qa").joinpath("times.txt").read_text("utf-8").splitlines()
    prefers, made = "", []
    for line in (line.strip() for line in lines):
        if name := re.fullmatch(r"\[([a-z ]+)\]", line):
            prefers = name[1]
        elif line and not line.startswith("#"):
            made.append((prefers, re.compile(line, re.IGNORECASE)))
    return tuple(made)
