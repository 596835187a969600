"""Whether a mention is denied: a rule of its own, so that no set is judged by what trains."""

import re

CUE = re.compile(
    r"\b(?:no|nil|denies|denied|denying|deny|without|negative for|"
    r"not (?:have|had|having|notic\w+|feel|reveal|show|see|experienc\w+))\b",
    re.IGNORECASE,
)
TURN = re.compile(
    r"\b(?:but|however|except|although|positive|other than|apart from)\b", re.IGNORECASE
)
SENTENCE_END = re.compile(r"[.!?;](?=\s)|\n|•")
LIST = re.compile(r",|\bor\b|\band\b")

REACH = 5
"""Words after a cue that it denies, the mention's first one included."""

ITEM = 4
"""Words of an item of a list that a cue begins, at most."""


def denied(text: str, start: int) -> bool:
    """Whether a cue reaches the mention at `start`, or begins the list that it is in."""
    sentence = SENTENCE_END.split(text[:start])[-1]
    cues = list(CUE.finditer(sentence))
    between = sentence[cues[-1].end() :] if cues else ""
    if not cues or TURN.search(between):
        return False
    listed = all(len(part.split()) <= ITEM for part in LIST.split(between))
    return len(between.split()) < REACH or listed
