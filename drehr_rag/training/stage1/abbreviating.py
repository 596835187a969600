"""What a chunk's abbreviations stand for: by its own definitions, a language model, inventories."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from drehr_rag.kg._keys import key_of
from drehr_rag.kg.abbreviations import Abbreviations
from drehr_rag.training.chat_replies import Reply, Silence
from drehr_rag.training.stage1.mentions import Mention, Mentions

NO_JSON = "the model's reply is no JSON of the form that was asked for"
CUT = "the model's reply was cut at its longest length"


@dataclass
class Expanded:
    """What came of a chunk's abbreviations.

    Attributes:
        mentions: Those kept, as mentions of their full names.
        counts: `abbreviations kept` and `abbreviations refused: …`, each pair once.
        failures: Why the model gave nothing.
        answered: Whether its server answered; None: it was not asked.
        again: Whether a further try may do better.
    """

    mentions: list[Mention] = field(default_factory=list, repr=False)
    counts: Counter[str] = field(default_factory=Counter)
    failures: tuple[str, ...] = ()
    answered: bool | None = None
    again: bool = False


@dataclass(frozen=True)
class Abbreviating:
    """Expands a chunk's abbreviations; what the note defines goes before what a model says.

    Attributes:
        mentions: Knows the graph's concepts, and which are kept.
        inventories: Own definitions and counted senses; None: without.
    """

    mentions: Mentions
    inventories: Abbreviations | None = None

    def of(self, text: str, reply: Reply | Silence | None = None) -> Expanded:
        """The abbreviations of a chunk that pass the paper's rules.

        Args:
            text: The chunk's.
            reply: What a language model said of it; None: it was not asked.
        """
        found = Expanded()
        pairs: dict[str, tuple[str, int]] = {}
        for short, long, rank in [*self._known(text), *self._told(reply, found)]:
            if short not in pairs or rank < pairs[short][1]:
                pairs[short] = long, rank
        for short, (long, _) in pairs.items():
            self._take(text, short, long, found)
        found.mentions.sort()
        return found

    def _known(self, text: str) -> Iterator[tuple[str, str, int]]:
        if self.inventories is not None:
            for one in self.inventories.expand(text):
                yield one.short, one.long, 0 if one.by == "note" else 2

    def _told(
        self, reply: Reply | Silence | None, found: Expanded
    ) -> Iterator[tuple[str, str, int]]:
        if reply is None:
            return
        found.answered = isinstance(reply, Reply)
        if isinstance(reply, Silence):
            found.failures, found.again = (f"the server {reply.reason}",), reply.passing
            return
        try:
            rows = json.loads(reply.text)["abbreviations"]
            pairs = [(str(row["short"]).strip(), str(row["long"]).strip()) for row in rows]
        except (ValueError, KeyError, TypeError, RecursionError):
            found.failures = (CUT if reply.cut else NO_JSON,)
            return
        yield from ((short, long, 1) for short, long in pairs)

    def _take(self, text: str, short: str, long: str, found: Expanded) -> None:
        places = _alone(short, text)
        concepts = self.mentions.named(long)
        if reason := self._refusal(short, long, places, concepts):
            found.counts[f"abbreviations refused: {reason}"] += 1
            return
        found.counts["abbreviations kept"] += 1
        name = key_of(long)
        found.mentions += [Mention(start, end, name, concepts) for start, end in places]

    def _refusal(
        self, short: str, long: str, places: list[tuple[int, int]], concepts: tuple[str, ...]
    ) -> str:
        """Why an abbreviation is not kept, by PAPER.md §1, stage 1, step 2; else nothing."""
        if not places:
            return "not a word of the chunk"
        if len(short) < 2:
            return "one character"
        if key_of(short) == key_of(long):
            return "its own full name"
        if not self.mentions.known(long):
            return "the full name is no term of the graph"
        if not concepts or not self.mentions.wanted(long):
            return "the full name is left out"
        return ""


def _alone(short: str, text: str) -> list[tuple[int, int]]:
    """Where it stands as a word of its own, written the same."""
    if not short:
        return []
    pattern = rf"(?<![^\W_]){re.escape(short)}(?![^\W_])"
    return [match.span() for match in re.finditer(pattern, text)]
