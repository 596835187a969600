"""`EhrChatEngine`: a conversation about the notes in one scope, as LlamaIndex's chat engine."""

from collections.abc import AsyncGenerator, Sequence
from collections.abc import Generator as Generated
from contextlib import aclosing
from typing import Self

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine.types import (
    AgentChatResponse,
    BaseChatEngine,
    StreamingAgentChatResponse,
)
from llama_index.core.llms import LLM

from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.integrations.llama_index._llm_generator import chain_of
from drehr_rag.integrations.llama_index._tracing import refuse_tracing
from drehr_rag.integrations.llama_index.query_engine import response
from drehr_rag.protocols import Generator
from drehr_rag.qa import Allow, AuditLog, Settings
from drehr_rag.qa.conversation import TURNS, Conversation
from drehr_rag.types import Answer, Scope


class EhrChatEngine(BaseChatEngine):
    """Questions that follow one another, each answered with citations, or not at all.

    A question is made one that stands alone from those before it. What was said stays with its
    scope: another patient is another engine, and a history from elsewhere is refused.

    Args:
        index: An open index.
        llm: Any LlamaIndex LLM, or a generator of `load_generator`; without one the notes are
            quoted, and each question is taken as it stands.
        scope: Whose notes, for good.
        turns: Questions with their answers that are remembered.
        settings: How questions are answered.
        allow: Whether a caller may read a scope.
        caller: Who asks.
        audit: Where each question is recorded.
        callback_manager: LlamaIndex's.

    Raises:
        ScopeRequired: No scope.
        BadArgument: Less than one turn.
        TracingRefused: A tracer listens that may send notes elsewhere.
    """

    def __init__(
        self,
        index: EhrIndex,
        llm: LLM | Generator | None = None,
        *,
        scope: Scope,
        turns: int = TURNS,
        settings: Settings | None = None,
        allow: Allow | None = None,
        caller: str | None = None,
        audit: AuditLog | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Check the scope; nothing is asked."""
        self.callback_manager = callback_manager or CallbackManager()
        refuse_tracing(self.callback_manager)
        self._chain, self._generator = chain_of(
            index, llm, settings=settings, allow=allow, caller=caller, audit=audit
        )
        self._turns = turns
        self._conversation = self._about(checked_scope(scope))

    @property
    def scope(self) -> Scope:
        """Whose notes it is about."""
        return self._conversation.scope

    @property
    def chat_history(self) -> list[ChatMessage]:
        """The last questions, as they were searched for, with their answers."""
        return [
            message
            for question, answer in self._conversation.history
            for message in (
                ChatMessage(role=MessageRole.USER, content=question),
                ChatMessage(role=MessageRole.ASSISTANT, content=answer),
            )
        ]

    def with_scope(self, scope: Scope) -> Self:
        """Another conversation, about fewer: nothing of this one is known in it.

        Raises:
            ScopeError: The scope reaches beyond the present one.
        """
        other = type(self).__new__(type(self))
        other.__dict__ = dict(self.__dict__)
        other._conversation = self._about(narrowed(self.scope, scope))
        return other

    def reset(self) -> None:
        """Forget what was said."""
        self._conversation = self._about(self.scope)

    def chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> AgentChatResponse:
        """The answer, with its passages as `source_nodes` and `metadata["answer"]`.

        Args:
            message: The question.
            chat_history: None, or this engine's own; an empty one resets.

        Raises:
            BadArgument: The history is another's.
            NotAllowed: The caller may not read the scope.
            GeneratorError: The generator failed.
        """
        return _whole(self._ready(chat_history).ask(message))

    async def achat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> AgentChatResponse:
        """As `chat`, without blocking the event loop."""
        return _whole(await self._ready(chat_history).aask(message))

    def stream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> StreamingAgentChatResponse:
        """The sentences of `chat`, once all are verified; `astream_chat` gives each at once."""
        whole = self.chat(message, chat_history)
        answer: Answer = (whole.metadata or {})["answer"]
        return StreamingAgentChatResponse(
            chat_stream=_spoken(_parts(answer)),
            source_nodes=whole.source_nodes,
            is_writing_to_memory=False,
        )

    async def astream_chat(
        self, message: str, chat_history: list[ChatMessage] | None = None
    ) -> StreamingAgentChatResponse:
        """Each sentence as soon as it is verified; `source_nodes` are there after the last."""
        conversation = self._ready(chat_history)
        streamed = StreamingAgentChatResponse(is_writing_to_memory=False)
        streamed.achat_stream = _heard(conversation, message, streamed)
        return streamed

    def _about(self, scope: Scope) -> Conversation:
        return Conversation(self._chain, scope=scope, generator=self._generator, turns=self._turns)

    def _ready(self, history: Sequence[ChatMessage] | None) -> Conversation:
        """The conversation, if the history that was given is its own."""
        refuse_tracing(self.callback_manager)
        if history is not None and not history:
            self.reset()
        elif history is not None and list(history) != self.chat_history:
            raise BadArgument(
                "this engine keeps its own history, for another's may be about another patient: "
                "leave chat_history out"
            )
        return self._conversation


def _whole(answer: Answer) -> AgentChatResponse:
    made = response(answer)
    return AgentChatResponse(
        response=str(made), source_nodes=made.source_nodes, metadata=made.metadata
    )


def _parts(answer: Answer) -> list[str]:
    """The sentences, or why there are none."""
    return [sentence.text for sentence in answer.sentences] or [answer.reason or ""]


def _spoken(parts: Sequence[str]) -> Generated[ChatResponse, None, None]:
    said = ""
    for part in parts:
        delta = f" {part}" if said else part
        said += delta
        message = ChatMessage(role=MessageRole.ASSISTANT, content=said)
        yield ChatResponse(message=message, delta=delta)


async def _heard(
    conversation: Conversation, question: str, streamed: StreamingAgentChatResponse
) -> AsyncGenerator[ChatResponse, None]:
    """What comes, as LlamaIndex's pieces; the whole answer is the `raw` of the last."""
    said = ""
    async with aclosing(conversation.astream(question)) as parts:
        async for part in parts:
            raw = part if isinstance(part, Answer) else None
            if isinstance(part, Answer):
                streamed.source_nodes = response(part).source_nodes
                text = "" if said else part.reason or ""
            else:
                text = part.text
            delta = f" {text}" if said and text else text
            said += delta
            message = ChatMessage(role=MessageRole.ASSISTANT, content=said)
            yield ChatResponse(message=message, delta=delta, raw=raw)
