"""Words compared without case, British spelling and plural s; chunks as DR.EHR cuts them."""

import re

SPELLING = (
    ("aesth", "esth"),
    ("aemi", "emi"),
    ("haem", "hem"),
    ("oedema", "edema"),
    ("oea", "ea"),
    ("noe", "ne"),
    ("oesoph", "esoph"),
    ("paed", "ped"),
    ("our", "or"),
    ("leukae", "leuke"),
    ("anae", "ane"),
    ("isation", "ization"),
    ("ischae", "ische"),
    ("coel", "cel"),
    ("caec", "cec"),
)
"""British, American; applied in this order, to every word alike, so that "hour" is "hor"."""


def fold(word: str) -> str:
    """One word without case, British spelling and plural s."""
    word = word.lower()
    for british, american in SPELLING:
        word = word.replace(british, american)
    plural = len(word) > 3 and word[-1] == "s" and word[-2] not in "siu"
    return word[:-1] if plural else word


def plain(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"[a-z0-9]+", text.lower())


def spaced(text: str) -> str:
    """The folded words of a text with a space on both sides, so that `in` finds whole words."""
    return " " + " ".join(map(fold, plain(text))) + " "


def natural(name: str) -> str:
    """A MeSH heading in natural order: "Leukemia, Myeloid, Acute" is "acute myeloid leukemia"."""
    head, *tail = name.lower().split(", ")
    if head.isdigit():  # "46, XX Disorders of Sex Development"
        return name.lower()
    joint = ["of"] if tail and tail[-1].endswith("errors") else []  # "inborn errors of metabolism"
    return " ".join([*reversed(tail), *joint, head])


def chunk_spans(text: str, size: int = 100, overlap: int = 10) -> list[tuple[int, int]]:
    """Character ranges of chunks of `size` words that overlap; none is of the overlap only."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    starts = range(0, max(len(words) - overlap, 1), size - overlap) if words else ()
    lasts = (min(start + size, len(words)) - 1 for start in starts)
    return [(words[first][0], words[last][1]) for first, last in zip(starts, lasts, strict=True)]


def chunked(prefix: str, text: str) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """The chunks of a text by id `<prefix>_<number>`: their ranges, and their texts in one line."""
    spans = {f"{prefix}_{number}": span for number, span in enumerate(chunk_spans(text))}
    return spans, {name: " ".join(text[start:end].split()) for name, (start, end) in spans.items()}


def within(spans: dict[str, tuple[int, int]], start: int, end: int) -> set[str]:
    """The chunks in which a range stands whole."""
    return {name for name, (first, last) in spans.items() if first <= start and end <= last}
