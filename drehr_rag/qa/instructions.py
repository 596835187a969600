"""Stretches of a note that speak to the software which reads it: they prove nothing.

Notes are data. Text that orders an answer, forges a passage or a turn of a chat, or names the model
is kept from the generator, and a quote from it supports no sentence.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise

from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.qa.folding import plain
from drehr_rag.qa.needed_words import Rules

AFTER = 300
"""Characters behind an instruction, on its line, that belong to it: what is to be said."""

BETWEEN = 400
"""Characters between two instructions of a paragraph that belong to them."""

HIDDEN = 4
"""Characters that nobody sees, in one sentence: nobody writes a note like this."""

SPELT = 5
"""Words with digits for letters in one sentence; "q4h" and "HbA1c" come alone."""

_BLOB = re.compile(r"[A-Za-z0-9+/]{32,}+={0,2}")

_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SPELT = re.compile(r"\b(?=[A-Za-z]*[013457])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{3,}\b")
_MIXED = re.compile(r"[a-z][013457@$][a-z]")
_BLANK = re.compile(r"\n[ \t]*\n\s*")
_FORGED = re.compile(r"[ \t]*\[\d{1,3}\] \S")

# Cyrillic and Greek letters that look like Latin ones, and digits that stand for letters.
_LOOK_ALIKE = str.maketrans("аеорсухіѕјкмтвнԁɡοαερτνικ", "aeopcyxisjkmtbhdgoaeptvik")
_LEET = str.maketrans("013457@$", "oieastas")

Span = tuple[int, int]


def instructions(text: str) -> list[Span]:
    """Where they stand, from left to right, none within another."""
    return instructions_in([text])[0]


def instructions_in(texts: Sequence[str]) -> list[list[Span]]:
    """As `instructions`, of each text; what stands in none of them is looked for once."""
    sentences = [sentence_spans(text) for text in texts]
    forms = [
        [_forms(text[start:end]) for start, end in some]
        for text, some in zip(texts, sentences, strict=True)
    ]
    wholes = ["\n".join(form for each in some for form in each) for some in forms]
    alone, together = (rules.among("\n".join(wholes)) for rules in _rules())
    found = []
    for text, some, own, whole in zip(texts, sentences, forms, wholes, strict=True):
        cues = _cues(
            [text[start:end] for start, end in some],
            own,
            alone.possible(whole),
            together.possible(whole),
        )
        found.append(_widened(text, _certain(some, cues)))
    return found


def _certain(sentences: Sequence[Span], cues: Sequence[tuple[bool, set[str]]]) -> list[Span]:
    """Those that are instructions, alone or with what stands beside them."""
    found = []
    for place, ((start, end), (alone, together)) in enumerate(zip(sentences, cues, strict=True)):
        near = together | (cues[place + 1][1] if place + 1 < len(cues) else set())
        if alone or len(together) > 1 or (together and len(near) > 2):
            found.append((start, end))
    return found


def _cues(
    sentences: Sequence[str],
    forms: Sequence[set[str]],
    alone: Sequence[re.Pattern[str]],
    together: Sequence[re.Pattern[str]],
) -> list[tuple[bool, set[str]]]:
    """Of each sentence: whether it alone is an instruction, and what in it may be part of one."""
    return [
        (
            _disguised(sentence) or any(one.search(form) for form in some for one in alone),
            {one.pattern for form in some for one in together if one.search(form)},
        )
        for sentence, some in zip(sentences, forms, strict=True)
    ]


def _disguised(sentence: str) -> bool:
    hidden = sum(unicodedata.category(c) == "Cf" for c in sentence) if not sentence.isascii() else 0
    return (
        hidden >= HIDDEN
        or any(map(_encoded, _BLOB.findall(sentence)))
        or _TURNED.search(sentence) is not None
        or len(_SPELT.findall(sentence)) >= SPELT
    )


def _forms(sentence: str) -> set[str]:
    """As rules read it: folded, look-alikes as what they look like."""
    form = plain(sentence)
    if not form.isascii():
        form = form.translate(_LOOK_ALIKE)
    return {form, form.translate(_LEET)} if _MIXED.search(form) else {form}


def _encoded(word: str) -> bool:
    """Whether it is base64, as far as one can see."""
    return all(re.search(kind, word) for kind in ("[A-Z]", "[a-z]", "[0-9+/=]"))


def _widened(text: str, found: Sequence[Span]) -> list[Span]:
    """To the end of the line, over what stands between two, and back to a forged heading."""
    wide = [
        (_heading(text, start), max(end, min(_line_end(text, end), end + AFTER)))
        for start, end in found
    ]
    joined: list[Span] = []
    for start, end in wide:
        if joined and _together(text, joined[-1][1], start):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _heading(text: str, place: int) -> int:
    """Where the paragraph begins, if that is a passage's heading."""
    blank = [match.end() for match in _BLANK.finditer(text, 0, place)]
    start = blank[-1] if blank else 0
    return start if _FORGED.match(text, start) and place - start <= BETWEEN else place


def _together(text: str, end: int, start: int) -> bool:
    return start - end <= BETWEEN and not _BLANK.search(text, end, start)


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


@cache
def _rules() -> tuple[Rules, Rules]:
    alone, together = _parts(files("drehr_rag.qa").joinpath("instructions.txt").read_text("utf-8"))
    return alone, together


def _parts(text: str) -> Iterator[Rules]:
    marks = [match.span() for match in re.finditer(r"^\[\w+\]$", text, re.MULTILINE)]
    for (_, start), (end, _) in pairwise([*marks, (len(text), len(text))]):
        lines = (line.strip() for line in text[start:end].splitlines())
        yield Rules.of(line for line in lines if line and not line.startswith("# "))
