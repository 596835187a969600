"""Whether hosted tracing, which sends notes to another server, is allowed."""

import os

ALLOW = "DREHR_ALLOW_TRACING"
"""Environment variable; "1" allows tracers, in LangChain and LlamaIndex alike."""


def tracing_allowed() -> bool:
    """Whether whoever runs this process has allowed it."""
    return os.environ.get(ALLOW) == "1"
