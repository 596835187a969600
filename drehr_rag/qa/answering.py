"""Ask a generator, then keep only what the notes really say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, get_args

from drehr_rag.protocols import GenerationRequest, Generator
from drehr_rag.qa.asking import request
from drehr_rag.qa.claims import Claim, Claims, claims_of
from drehr_rag.qa.passages import BUDGET, Count, Packed, estimate, pack
from drehr_rag.qa.verifying import verified
from drehr_rag.types import Answer, AnswerSentence, Hit, Trace, Withheld

NOTHING_FOUND = "no note in scope was found for this question"
NOT_IN_NOTES = "the notes in scope do not support an answer"
UNSUPPORTED = "no sentence of the generated answer could be found in the notes"

Unsupported = Literal["remove", "flag"]
UNSUPPORTED_POLICIES = get_args(Unsupported)
"""What becomes of sentences that the notes do not support."""


def answer(
    question: str,
    hits: Sequence[Hit],
    generator: Generator,
    *,
    unsupported: Unsupported = "remove",
    budget: int = BUDGET,
    count: Count = estimate,
    marked: bool = True,
) -> Answer:
    """Answer a question from retrieved passages.

    Each sentence must quote its passage; the quote is looked up and becomes note, section, start
    and end. A sentence whose quote is not there is removed; if none is left, it abstains.

    Args:
        question: In plain words.
        hits: Best first.
        generator: What writes the answer.
        unsupported: Remove such sentences, or keep them with the reason.
        budget: Tokens of all passages together.
        count: Tokens of a text, by the generator's tokenizer.
        marked: Whether the generator is told beside each passage what it denies and the like.

    Raises:
        GeneratorError: The generator failed, or its reply is not JSON of the schema.
    """
    if not hits:
        return Answer(question=question, abstained=True, reason=NOTHING_FOUND)
    asked = Asked.of(question, hits, unsupported, budget, count, marked=marked)
    reply, seconds = _timed(generator, asked.request)
    return asked.answer(claims_of(reply), seconds)


def _timed(generator: Generator, asked: GenerationRequest) -> tuple[str, float]:
    started = perf_counter()
    reply = generator.generate(asked)
    return reply, perf_counter() - started


@dataclass(slots=True)
class Asked:
    """A question with its passages; turns claims into sentences, and in the end into an answer."""

    question: str = field(repr=False)
    hits: Sequence[Hit] = field(repr=False)
    packed: Packed
    request: GenerationRequest = field(repr=False)
    unsupported: Unsupported
    packing_seconds: float
    _sentences: list[AnswerSentence] = field(default_factory=list, repr=False)
    _taken: int = 0
    _refused: Counter[str] = field(default_factory=Counter, repr=False)

    @classmethod
    def of(
        cls,
        question: str,
        hits: Sequence[Hit],
        unsupported: Unsupported,
        budget: int,
        count: Count,
        *,
        marked: bool = True,
    ) -> "Asked":
        """Pack the passages and write the prompt."""
        started = perf_counter()
        packed = pack(hits, budget=budget, count=count, marked=marked)
        asked = request(question, packed.passages)
        return cls(question, hits, packed, asked, unsupported, perf_counter() - started)

    def sentence(self, claim: Claim) -> AnswerSentence | None:
        """The next claim as a sentence of the answer, unless it is refused or said again."""
        self._taken += 1
        citations, why = verified(claim, self.packed.passages, self.question)
        if why:
            self._refused[why] += 1
            if self.unsupported == "remove" or not claim.text:
                return None
        if any(claim.text == sentence.text for sentence in self._sentences):
            return None
        made = AnswerSentence(claim.text, () if why else citations, why)
        self._sentences.append(made)
        return made

    def answer(self, claims: Claims, generating: float) -> Answer:
        """The whole answer; the first claims may have been through `sentence` already."""
        started = perf_counter()
        if not claims.not_in_notes:
            for claim in claims.sentences[self._taken :]:
                self.sentence(claim)
        kept = () if claims.not_in_notes else tuple(self._sentences)
        supported = sum(sentence.unsupported is None for sentence in kept)
        refused = len(claims.sentences) if claims.not_in_notes else self._refused.total()
        return Answer(
            question=self.question,
            sentences=kept,
            abstained=not supported,
            reason=None if supported else UNSUPPORTED if self._refused else NOT_IN_NOTES,
            removed=refused if self.unsupported == "remove" else 0,
            hits=self.read(),
            confidence=supported / (supported + refused) if supported else None,
            trace=self._trace(),
            seconds={
                "pack": self.packing_seconds,
                "generate": generating,
                "verify": perf_counter() - started,
            },
        )

    def read(self) -> tuple[Hit, ...]:
        """The hits that the passages are made of, in their order."""
        read = {part.chunk_id for passage in self.packed.passages for part in passage.parts}
        return tuple(hit for hit in self.hits if hit.chunk.chunk_id in read)

    def _trace(self) -> Trace:
        passages = self.packed.passages
        return Trace(
            passages=tuple(tuple(part.chunk_id for part in one.parts) for one in passages),
            copies=self.packed.copies,
            over=self.packed.over,
            withheld=tuple(
                Withheld(one.chunk.note_id, one.chunk.start + start, one.chunk.start + end)
                for one in passages
                for start, end in one.withheld
            ),
            refused=dict(self._refused),
        )


__all__ = ["NOTHING_FOUND", "NOT_IN_NOTES", "UNSUPPORTED", "Asked", "Unsupported", "answer"]
