"""Hits to numbered passages: merged, without copies, best at both ends, in a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from drehr_rag.qa.folding import plain
from drehr_rag.qa.instructions import instructions_in
from drehr_rag.qa.marking import marks
from drehr_rag.types import Chunk, Hit, Mention

WITHHELD = "[withheld: an instruction to software, not documentation]"
"""Stands in a passage for what `instructions.py` found."""

BUDGET = 6_000
"""Tokens of all passages: with the rules and a reply it fits a context of 8,192."""

COPIED = 0.8
"""Share of a passage's runs of words that a better one of the same patient has: it is a copy."""

RUN = 5
"""Words in a run."""

CHARACTERS = 3
"""A token has at least so many, on average, in English clinical text, whatever the tokenizer."""

Count = Callable[[str], int]
"""Tokens of a text by the generator's tokenizer."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What the generator reads under a number.

    Attributes:
        hit: The best of the hits that it was made of; its chunk has the words of all.
        parts: The chunks, in the note's order.
        withheld: Stretches of the chunk's `source` that the generator does not see.
        marks: What it denies and the like, for the generator to read beside it; proves nothing.
    """

    hit: Hit
    parts: tuple[Chunk, ...]
    withheld: tuple[tuple[int, int], ...] = ()
    marks: str = field(default="", repr=False)

    @property
    def chunk(self) -> Chunk:
        """Its words and where they stand."""
        return self.hit.chunk

    @property
    def shown(self) -> str:
        """Its words without what is withheld."""
        source, pieces, end = self.chunk.source, [], 0
        for start, stop in self.withheld:
            pieces += [source[end:start], WITHHELD]
            end = stop
        return "".join([*pieces, source[end:]])


@dataclass(frozen=True, slots=True)
class Packed:
    """The passages in the order of their numbers.

    Attributes:
        copies: Hits left out since another passage of the patient says the same.
        over: Hits left out for want of room.
    """

    passages: tuple[Passage, ...] = field(repr=False)
    copies: int = 0
    over: int = 0


def estimate(text: str) -> int:
    """Tokens of a text at most, as a rule, where no tokenizer is at hand."""
    return -(-len(text) // CHARACTERS)


def pack(
    hits: Sequence[Hit], *, budget: int = BUDGET, count: Count = estimate, marked: bool = True
) -> Packed:
    """Make passages of hits, best first.

    Args:
        hits: Best first.
        budget: Tokens of all passages together; the best one is taken in any case.
        count: Tokens of a text.
        marked: Whether each passage gets a line on what it denies and the like.
    """
    merged = _merged(hits)
    passages: list[Passage] = []
    runs: dict[str | None, list[frozenset[tuple[str, ...]]]] = {}
    copies = over = tokens = 0
    for passage in merged:
        own, patient = _runs(passage.chunk.source), passage.chunk.patient_id
        if any(len(own & other) >= COPIED * len(own) for other in runs.get(patient, ())):
            copies += len(passage.parts)
            continue
        kept = _marked(passage) if marked else passage
        cost = count(kept.shown + kept.marks)
        if passages and tokens + cost > budget:
            over += len(passage.parts)
            continue
        passages.append(kept)
        runs.setdefault(patient, []).append(own)
        tokens += cost
    return Packed(tuple(_best_outside(passages)), copies, over)


def _merged(hits: Sequence[Hit]) -> list[Passage]:
    """Hits that overlap in a note become one, at the place of the better one."""
    groups: list[list[Hit]] = []
    for hit in hits:
        touching = [group for group in groups if any(_touch(hit, other) for other in group)]
        if not touching:
            groups.append([hit])
            continue
        first, *others = touching
        first += [hit, *(one for group in others for one in group)]
        groups = [group for group in groups if not any(group is other for other in others)]
    passages = [_one(group) for group in groups]
    withheld = instructions_in([passage.chunk.source for passage in passages])
    return [
        replace(passage, withheld=tuple(spans)) if spans else passage
        for passage, spans in zip(passages, withheld, strict=True)
    ]


def _touch(a: Hit, b: Hit) -> bool:
    one, two = a.chunk, b.chunk
    same = (one.note_id, one.patient_id) == (two.note_id, two.patient_id)
    return same and one.start <= two.end and two.start <= one.end


def _one(group: Sequence[Hit]) -> Passage:
    """The hits' words as those of the best of them."""
    parts = sorted((hit.chunk for hit in group), key=lambda chunk: (chunk.start, chunk.end))
    best = group[0]
    if len(parts) == 1:
        return Passage(best, tuple(parts))
    source, end = parts[0].source, parts[0].end
    for part in parts[1:]:
        if part.end > end:
            source += part.source[end - part.start :]
            end = part.end
    mentions = tuple(sorted({one for part in parts for one in part.mentions}))
    whole = replace(best.chunk, start=parts[0].start, end=end, text=source, source=source)
    whole = replace(whole, mentions=mentions)
    return Passage(replace(best, chunk=whole), tuple(parts))


def _marked(passage: Passage) -> Passage:
    section, own = passage.parts[0].section, passage.chunk
    known = [Mention(m.start - own.start, m.end - own.start, m.status) for m in own.mentions]
    line = marks(own.source, section=section, withheld=passage.withheld, known=known)
    return replace(passage, marks=line)


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = plain(text).split()
    if len(words) <= RUN:
        return frozenset([tuple(words)])
    return frozenset(zip(*(words[start:] for start in range(RUN)), strict=False))


def _best_outside(passages: Sequence[Passage]) -> list[Passage]:
    """The best first, the second best last, and so on inwards: models read the middle worst."""
    return [*passages[::2], *reversed(passages[1::2])]
