"""Words that say of others that they are absent, uncertain, past …: read, and found in a text."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple, get_args

Kind = Literal["family", "negated", "conditional", "possible", "historical"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What cues say; of a mention with several, the first of these is its status."""

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]")
_KIN = "<kin>"


@dataclass(frozen=True, slots=True)
class Cue:
    """What some words say.

    Attributes:
        kinds: Of `KINDS`; those whose scopes stop here, if the way is `end`.
        way: `forward` or `backward`: of the words behind or before; `end`; `none`: of nothing.
        reach: Words and marks at most that it is said of.
    """

    kinds: tuple[Kind, ...]
    way: str
    reach: int | None = None


class Found(NamedTuple):
    """A cue in a text: where its words stand, and the furthest places that it may reach."""

    cue: Cue
    start: int
    end: int
    least: int
    most: int


def cues(text: str, start: int, end: int) -> Iterator[Found]:
    """Cues in `text[start:end]`, from left to right; of several at a place the longest words."""
    trie = _trie()
    if _without(trie, text[start:end]):
        return
    tokens = list(_TOKEN.finditer(text, start, end))
    words = [token[0].lower().replace("’", "'") for token in tokens]
    place = 0
    while place < len(words):
        if words[place] not in trie.after:
            place += 1
            continue
        said, after = _longest(trie, words, place)
        for cue in said:
            reach = len(words) if cue.reach is None else cue.reach
            least = tokens[place - reach].start() if reach < place else 0
            most = tokens[after + reach - 1].end() if after + reach < len(words) else sys.maxsize
            yield Found(cue, tokens[place].start(), tokens[after - 1].end(), least, most)
        place = after


def _without(trie: "_Node", text: str) -> bool:
    """Whether no cue can begin in it, as in most sentences: told faster than where one does."""
    words = text.replace("’", "'").lower()
    return words.isascii() and trie.after.keys().isdisjoint(_TOKEN.findall(words))


def _longest(trie: "_Node", words: Sequence[str], place: int) -> tuple[Sequence[Cue], int]:
    """The cues of the longest phrase that begins at a place, and the place after it."""
    said: Sequence[Cue] = ()
    node, after = trie, place + 1
    for last in range(place, len(words)):
        following = node.after.get(words[last])
        if following is None:
            break
        node = following
        if node.cues:
            said, after = node.cues, last + 1
    return said, after


@dataclass(slots=True)
class _Node:
    """What may follow some words, and what they say if they are a phrase."""

    after: "dict[str, _Node]" = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)


@cache
def _trie() -> _Node:
    root = _Node()
    for words, cue in _rows():
        node = root
        for word in _TOKEN.findall(words):
            node = node.after.setdefault(word, _Node())
        node.cues.append(cue)
    return root


def _rows() -> Iterator[tuple[str, Cue]]:
    text = files("drehr_rag.notes").joinpath("assertion_cues.tsv").read_text("utf-8")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    kin: list[str] = []
    for words, kind, *way in (line.split("\t") for line in lines):
        if words == _KIN:
            kin = kind.split(", ")
            continue
        kinds = tuple(one for one in KINDS if kind == "all" or one in kind.split(","))
        cue = Cue(kinds, way[0], int(way[1]) if way[1:] else None)
        for each in [words.replace(_KIN, one) for one in kin] if _KIN in words else [words]:
            yield each, cue
