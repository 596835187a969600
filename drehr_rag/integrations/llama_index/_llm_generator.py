"""A LlamaIndex LLM as a generator of the core's."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from llama_index.core.llms import LLM

from drehr_rag.errors import DrehrError, GeneratorError
from drehr_rag.protocols import GenerationRequest, Piece, Reply


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
