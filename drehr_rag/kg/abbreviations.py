"""What the abbreviations of a note stand for: by its own definitions, else by how often they do."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drehr_rag.errors import BadArgument
from drehr_rag.kg.definitions import Definition, own_definitions
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.matcher import Matcher
from drehr_rag.protocols import KnowledgeGraph


@dataclass(frozen=True, slots=True)
class Expansion:
    """An abbreviation in a text and what it stands for.

    Attributes:
        start: Offset of the abbreviation.
        end: Likewise, behind its last character.
        short: As it is written.
        long: The full name.
        by: `note`: the note defines it; `inventory`: by frequency.
        share: Of the sense among all; 1 for the note's own.
        concepts: The graph's concepts of this name; empty without a graph.
    """

    start: int
    end: int
    short: str
    long: str
    by: Literal["note", "inventory"]
    share: float
    concepts: tuple[str, ...] = ()


class Abbreviations:
    """Expands abbreviations, without a language model."""

    def __init__(
        self,
        inventories: Iterable[str | Path] = (),
        *,
        least: float = 0.8,
        graph: KnowledgeGraph | None = None,
    ) -> None:
        """Read inventories.

        Args:
            inventories: Files, the most trusted first; without any, only a note's own definitions
                count.
            least: An abbreviation is expanded if its foremost sense has at least this share.
            graph: Keep only expansions that are terms of it, as DR.EHR does.

        Raises:
            BadArgument: `least` is no share.
            GraphError: An inventory cannot be read.
        """
        if not 0 <= least <= 1:
            raise BadArgument(f"least is a share from 0 to 1, not {least!r}")
        self.inventory = Inventory(Path(file) for file in inventories)
        self._graph = graph
        self._senses = self.inventory.counted(least)
        self._matcher = Matcher(self._senses)

    def expand(self, text: str) -> list[Expansion]:
        """Every mention of an abbreviation that can be told, from left to right.

        A definition holds for the whole text; defined twice, each holds from where it stands on.
        """
        own = own_definitions(text)
        defined = {short: [d for d in own if d.short == short] for short in {d.short for d in own}}
        found = {}
        for start, end in self._mentions(text, list(defined)):
            if expansion := self._expansion(text, start, end, defined.get(text[start:end], [])):
                found[start] = expansion
        return [found[start] for start in sorted(found)]

    def _mentions(self, text: str, own: list[str]) -> list[tuple[int, int]]:
        """Places of abbreviations; the note's own go before those of inventories."""
        places = [(m.start, m.end) for m in self._matcher.find(text)]
        if own:
            mine = [(m.start, m.end) for m in Matcher(own).find(text)]
            mine = [(start, end) for start, end in mine if text[start:end] in own]
            apart = [p for p in places if all(p[1] <= s or e <= p[0] for s, e in mine)]
            places = mine + apart
        return places

    def _expansion(
        self, text: str, start: int, end: int, own: list[Definition]
    ) -> Expansion | None:
        short = text[start:end]
        before = [d for d in own if d.short_start <= start]
        if own:
            long = (before or own[:1])[-1].long
            return self._checked(Expansion(start, end, short, long, "note", 1.0))
        if (sense := self._senses.get(short)) is None:
            return None
        share = sense.share or 0.0
        return self._checked(Expansion(start, end, short, sense.long, "inventory", share))

    def _checked(self, found: Expansion) -> Expansion | None:
        if len(found.short) < 2 or found.short.lower() == found.long.lower():
            return None
        if self._graph is None:
            return found
        concepts = tuple(self._graph.concepts(found.long))
        if not concepts:
            return None
        return Expansion(
            found.start, found.end, found.short, found.long, found.by, found.share, concepts
        )
