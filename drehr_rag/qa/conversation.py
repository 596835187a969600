"""Questions that follow one another, about the same notes: each is made one that stands alone."""

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cache
from importlib.resources import files
from typing import Any

from anyio import to_thread

from drehr_rag._arguments import HOW, positive
from drehr_rag.errors import GeneratorError, ScopeRequired
from drehr_rag.protocols import GenerationRequest, Generator
from drehr_rag.qa.asking import escaped
from drehr_rag.qa.chain import QaChain
from drehr_rag.qa.json_replies import json_of, words_of
from drehr_rag.types import Answer, AnswerSentence, Scope

TURNS = 6
"""Questions with their answers that a rewriting sees."""

LONGEST = 500
"""Characters of a rewritten question, and of a remembered answer."""

_SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string", "maxLength": LONGEST}},
    "required": ["question"],
    "additionalProperties": False,
}


class Conversation:
    """A chain, one scope, and what was said so far. Other notes are another conversation.

    Args:
        chain: What answers.
        generator: What rewrites a question that follows others; without one, each question
            is taken as it stands.
        scope: Whose notes, for good.
        turns: Questions with their answers that a rewriting sees.

    Raises:
        ScopeRequired: No scope.
        BadArgument: Less than one turn.
    """

    def __init__(
        self,
        chain: QaChain,
        *,
        scope: Scope,
        generator: Generator | None = None,
        turns: int = TURNS,
    ) -> None:
        """Nothing was said yet."""
        if not isinstance(scope, Scope):
            raise ScopeRequired(HOW)
        self._chain, self._generator, self._scope = chain, generator, scope
        self._said: deque[tuple[str, str]] = deque(maxlen=positive(turns, "turns"))

    @property
    def scope(self) -> Scope:
        """Whose notes it is about."""
        return self._scope

    @property
    def history(self) -> Sequence[tuple[str, str]]:
        """The last questions, as they were searched for, with their answers."""
        return tuple(self._said)

    def ask(self, question: str, **narrow: Any) -> Answer:
        """Answer a question that may follow on from those before it; see `QaChain.ask`.

        The answer's `question` is the rewritten one.
        """
        alone = self._alone(question)
        return self._keep(self._chain.ask(alone, scope=self._scope, **narrow))

    async def aask(self, question: str, **narrow: Any) -> Answer:
        """As `ask`, without blocking the event loop."""
        alone = await to_thread.run_sync(self._alone, question)
        return self._keep(await self._chain.aask(alone, scope=self._scope, **narrow))

    async def astream(
        self, question: str, **narrow: Any
    ) -> AsyncGenerator[AnswerSentence | Answer, None]:
        """As `QaChain.astream`."""
        alone = await to_thread.run_sync(self._alone, question)
        async with aclosing(self._chain.astream(alone, scope=self._scope, **narrow)) as parts:
            async for part in parts:
                yield self._keep(part) if isinstance(part, Answer) else part

    def _keep(self, answer: Answer) -> Answer:
        said = "The notes do not tell." if answer.abstained else answer.text[:LONGEST]
        self._said.append((answer.question, said))
        return answer

    def _alone(self, question: str) -> str:
        """The question as one that can be understood alone; as it stands, if that fails.

        Nothing is sent to a generator before it is known that the question may be asked.
        """
        self._chain.check(question, self._scope)
        if not self._said or self._generator is None:
            return question
        history = "\n".join(f"Question: {escaped(q)}\nAnswer: {escaped(a)}" for q, a in self._said)
        prompt = _template().format(history=history, question=escaped(question))
        try:
            reply = self._generator.generate(GenerationRequest(prompt, question, (), _SCHEMA))
        except GeneratorError:
            return question
        said = json_of(reply)
        return (
            words_of(said.get("question") if isinstance(said, dict) else None, LONGEST) or question
        )


@cache
def _template() -> str:
    return files("drehr_rag.qa").joinpath("prompts/rewrite.md").read_text("utf-8")
