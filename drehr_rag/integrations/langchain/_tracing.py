"""Hosted tracing sends queries and note text to another company: never unless permitted."""

import os
from typing import Any

from langchain_core.tracers import LangChainTracer
from langchain_core.tracers.context import tracing_v2_callback_var
from langchain_core.utils.env import env_var_is_set
from langsmith.utils import tracing_is_enabled

from drehr_rag.errors import TracingRefused
from drehr_rag.integrations._tracing import ALLOW, tracing_allowed

VARIABLES = (
    "LANGSMITH_TRACING",
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING",
    "LANGCHAIN_TRACING_V2",
    "LANGCHAIN_HANDLER",
    "LANGCHAIN_WANDB_TRACING",
    "LANGCHAIN_COMET_TRACING",
)
"""What LangChain's callback manager and its community's tracers look at."""


def refuse_tracing(callbacks: Any = None, *, allowed: bool) -> None:
    """Stop before note text would be traced.

    Args:
        callbacks: What a config holds under `callbacks`.
        allowed: The application has decided that it may.

    Raises:
        TracingRefused: Tracing is on: by environment, by context, or by a LangSmith callback.
    """
    if allowed or tracing_allowed():
        return
    if found := next((name for name in VARIABLES if _on(name)), None):
        raise TracingRefused(f"{found} is set{_WHY}: unset it{_OR}")
    handlers = getattr(callbacks, "handlers", callbacks) or ()
    traced = any(isinstance(handler, LangChainTracer) for handler in handlers)
    if traced or tracing_v2_callback_var.get() is not None or tracing_is_enabled():
        raise TracingRefused(f"LangSmith tracing is on{_WHY}: turn it off{_OR}")


_WHY = ", which would send note text and queries to a hosted service"
_OR = f", or pass allow_tracing=True or set {ALLOW}=1 if that is permitted"


def _on(name: str) -> bool:
    return env_var_is_set(name) and os.environ[name].lower() != "false"
