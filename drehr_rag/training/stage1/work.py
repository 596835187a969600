"""One chunk to its example: what it mentions, what is added, what it denies."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from drehr_rag.kg._keys import key_of
from drehr_rag.notes.assertions import assertions_of
from drehr_rag.training.chat_replies import Reply, Silence
from drehr_rag.training.examples import Example
from drehr_rag.training.outcomes import Outcome
from drehr_rag.training.stage1.abbreviating import Abbreviating, Expanded
from drehr_rag.training.stage1.injection import Injection
from drehr_rag.training.stage1.mentions import Dropped, Mention, Mentions
from drehr_rag.types import Chunk

Denied = Literal["keep", "negatives", "drop"]


@dataclass(frozen=True)
class Stage1:
    """The work on one chunk, the same whenever and in whatever process it is done.

    Attributes:
        mentions: Finds the graph's terms; None: only abbreviations are taken.
        abbreviating: Expands abbreviations; None: without.
        injection: Adds what the graph knows.
        denied: What becomes of an entity that the chunk only denies: `keep` it as a positive, as
            the paper does; make it one of the chunk's hard `negatives`; or `drop` it.
        seed: Of what is drawn by chance.
    """

    mentions: Mentions | None
    abbreviating: Abbreviating | None
    injection: Injection
    denied: Denied = "keep"
    seed: int = 0

    def __call__(self, chunk: Chunk, reply: Reply | Silence | None = None) -> Outcome:
        """A chunk's outcome, with what a language model said of its abbreviations, if asked."""
        counts: Counter[str] = Counter()
        expanded = self.abbreviating.of(chunk.text, reply) if self.abbreviating else Expanded()
        counts.update(expanded.counts)
        mentions = self._mentions(chunk.text, expanded.mentions, counts)
        affirmed, denied = self._parted(chunk, mentions, counts)
        entities = self._entities(chunk.chunk_id, affirmed, counts)
        example = None
        if entities:
            negatives = denied.keys() - entities.keys() if self.denied == "negatives" else ()
            example = Example(
                idx=chunk.chunk_id,
                text=chunk.text,
                entities=tuple(term for term, _ in entities.values()),
                concepts=tuple(concept for _, concept in entities.values()),
                negatives=tuple(sorted(negatives)),
            )
            counts["entities"] = len(entities)
            counts["negatives"] = len(negatives)
        else:
            counts["chunks without entities"] = 1
        return Outcome(example, counts, expanded.failures, expanded.answered, again=expanded.again)

    def _mentions(self, text: str, expanded: list[Mention], counts: Counter[str]) -> list[Mention]:
        """In order; where an abbreviation is explained, its letters mean nothing else."""
        found = list(expanded)
        for match in self.mentions.find(text) if self.mentions else ():
            if isinstance(match, Dropped):
                counts[f"mentions left out: {match.reason}"] += 1
            elif all(match.end <= one.start or one.end <= match.start for one in expanded):
                found.append(match)
                counts["mentions"] += 1
        return sorted(found)

    def _parted(
        self, chunk: Chunk, mentions: list[Mention], counts: Counter[str]
    ) -> tuple[list[Mention], dict[str, Mention]]:
        """What is affirmed somewhere, and what is only denied, by its key."""
        if self.denied == "keep":
            return mentions, {}
        places = [(one.start, one.end) for one in mentions]
        found = assertions_of(chunk.text, places, section=chunk.section)
        flags = ["negated" in one.said for one in found]
        counts["mentions denied"] = sum(flags)
        affirmed = [one for one, flag in zip(mentions, flags, strict=True) if not flag]
        said = {concept for one in affirmed for concept in one.concepts}
        names = {one.term for one in affirmed}
        rest = [one for one, flag in zip(mentions, flags, strict=True) if flag]
        denied = {
            one.term: one for one in rest if one.term not in names and said.isdisjoint(one.concepts)
        }
        return affirmed, denied

    def _entities(
        self, idx: str, mentions: Iterable[Mention], counts: Counter[str]
    ) -> dict[str, tuple[str, str]]:
        """Key → term and concept: first what is mentioned, then what is added."""
        unique: dict[str, Mention] = {}
        for one in mentions:
            unique.setdefault(one.term, one)
        entities = {key_of(term): (term, one.concepts[0]) for term, one in unique.items()}
        chance = random.Random(f"{self.seed}/{idx}")
        for one in unique.values():
            for added in self.injection.of(one, chance):
                if (key := key_of(added.term)) not in entities:
                    entities[key] = added.term, added.concept
                    counts[added.kind] += 1
        return entities
