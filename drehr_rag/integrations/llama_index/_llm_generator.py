"""A LlamaIndex LLM as a generator of the core's."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.llms import LLM

from drehr_rag.errors import DrehrError, GeneratorError
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._encoders import an_index
from drehr_rag.protocols import GenerationRequest, Generator, Piece, Reply
from drehr_rag.qa import QaChain


def chain_of(
    index: EhrIndex, llm: LLM | Generator | None, **how: Any
) -> tuple[QaChain, Generator | None]:
    """What answers from an index by an LLM, and the generator that the LLM is to it.

    Args:
        index: An open index.
        llm: Any LLM, a generator of the core's, or none: the notes are quoted.
        how: As of `EhrIndex.qa_chain`.

    Raises:
        BadArgument: What is given for an index is none.
    """
    generator = LlmGenerator(llm) if isinstance(llm, LLM) else llm
    return an_index(index).qa_chain(generator, **how), generator


class LlmGenerator:
    """Asks an LLM; its failures are errors without its words, which may be the notes'.

    Args:
        llm: Any; it is asked for JSON in words.
    """

    def __init__(self, llm: LLM) -> None:
        """Keep it."""
        self._llm = llm
        self.name = llm.metadata.model_name

    def generate(self, request: GenerationRequest) -> str:
        """The reply's text.

        Raises:
            GeneratorError: The LLM failed.
        """
        with _failures():
            return self._llm.complete(request.prompt).text

    async def agenerate(self, request: GenerationRequest) -> Reply:
        """The reply, awaited; what it cost, LlamaIndex does not tell.

        Raises:
            GeneratorError: The LLM failed.
        """
        with _failures():
            return Reply((await self._llm.acomplete(request.prompt)).text, model=self.name)

    async def astream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The reply as it is written.

        Raises:
            GeneratorError: The LLM failed.
        """
        with _failures():
            async for part in await self._llm.astream_complete(request.prompt):
                yield Piece(part.delta or "")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except DrehrError:
        raise
    except Exception as problem:
        raise GeneratorError(f"the LLM failed ({type(problem).__name__})") from None
