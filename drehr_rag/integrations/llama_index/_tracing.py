"""Refuse to hand notes to a tracer that may send them to somebody else's server.

What can be told: LlamaIndex's global handler, the callback manager of `Settings` and of the
component, and every event and span handler of its instrumentation (OpenInference, OpenTelemetry,
Langfuse and the others register there). A handler counts as harmless only if it is LlamaIndex's
own, since those stay in the process. What cannot be told: libraries that replace functions
(wrapping the HTTP client, say), and a tracer that a language model's client brings along.
"""

from collections.abc import Iterator
from typing import Any

import llama_index.core
from llama_index.core.callbacks import CallbackManager
from llama_index.core.settings import Settings
from llama_index_instrumentation import root_manager

from drehr_rag.errors import TracingRefused
from drehr_rag.integrations._tracing import ALLOW, tracing_allowed

_HARMLESS = ("llama_index.core.", "llama_index_instrumentation.")
"""Modules whose handlers keep what they see in the process."""


def refuse_tracing(*managers: CallbackManager) -> None:
    """Do nothing if no tracer listens, or if tracers are allowed.

    Args:
        managers: Callback managers of the component that is asked.

    Raises:
        TracingRefused: A handler listens that may send what it sees elsewhere.
    """
    if tracing_allowed():
        return
    for handler in _handlers(managers):
        module = f"{type(handler).__module__}."
        if not module.startswith(_HARMLESS):
            raise TracingRefused(
                f"LlamaIndex hands everything it reads to {module}{type(handler).__name__}, which "
                f"may send notes to another server: take the handler away, or set {ALLOW}=1 if "
                "it may see them"
            )


def _handlers(managers: tuple[CallbackManager, ...]) -> Iterator[Any]:
    if llama_index.core.global_handler is not None:
        yield llama_index.core.global_handler
    general = Settings._callback_manager  # the property would make one
    for manager in (*managers, *([general] if general else [])):
        yield from manager.handlers
    for dispatcher in list(
        root_manager.dispatchers.values()
    ):  # 130 and more, of which few have any
        if dispatcher.event_handlers or dispatcher.span_handlers:
            yield from (*dispatcher.event_handlers, *dispatcher.span_handlers)
