"""A bulleted reply to entities; what is no list is a failure with its reason, not a guess."""

import re
from collections import Counter

from drehr_rag.training.stage2.entities import NO_ENTITY, Parsed, cleaned, foreign, sifted

_BULLET = re.compile(r"\s*(?:[-‐-―•‣◦▪·●+]|\*(?=\s)|\(?\d{1,3}[.)](?=\s|\*))\s*(.*)")
_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_FENCE = re.compile(r"\s*```\w*\s*")

EMPTY = "an empty reply"
THOUGHT = "cut within its reasoning"
CUT = "cut before the first entity"
SCRIPT = "in another script"
PROSE = "prose, not a list"


def parse_bullets(reply: str, *, cut: bool = False) -> Parsed:
    """The entities of a reply of bullets: `-`, `*`, `•`, `1.`, `(1)` and their like.

    Lines without a bullet (a preamble, a closing remark) are passed over and counted. "None" alone
    is an answer, with no entities.

    Args:
        reply: As it came.
        cut: Whether it ended for its length: its last line, if no line break follows, is dropped.
    """
    text = _THOUGHT.sub("", reply, count=1)
    if text.lstrip().startswith("<think>"):
        return Parsed(failure=THOUGHT)
    refused: Counter[str] = Counter()
    lines = [line for line in text.split("\n") if not _FENCE.fullmatch(line)]
    if cut and lines and lines.pop().strip():
        refused["cut off"] += 1
    found = [_BULLET.fullmatch(line.rstrip("\r")) for line in lines]
    items = [match[1] for match in found if match and match[1].strip()]
    bare = [line for line, match in zip(lines, found, strict=True) if not match and line.strip()]
    if not items:
        return _without_bullets(bare, cut)
    if bare:
        refused["a line without a bullet"] += len(bare)
    return sifted(items, refused)


def _without_bullets(lines: list[str], cut: bool) -> Parsed:
    if not lines:
        return Parsed(failure=CUT if cut else EMPTY)
    if NO_ENTITY.fullmatch(cleaned(lines[-1])) and len(lines) <= 2:  # perhaps after a preamble
        return Parsed(refused=(("says there is none", 1),))
    return Parsed(failure=SCRIPT if foreign(" ".join(lines)) else PROSE)
