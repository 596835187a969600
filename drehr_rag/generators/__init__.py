"""Prompt to text: one module a generator, each with `load(…)`."""

from typing import Any

from drehr_rag._registry import check_options, find
from drehr_rag.protocols import Generator

__all__ = ["load_generator"]


def load_generator(name: str, **options: Any) -> Generator:
    """A generator by name: `extractive`, `openai` or `vllm`.

    The first has no model and quotes, the second asks any compatible server, the third loads a
    model into this process.

    Raises:
        UnknownName: There is none of this name, or it has no such option.
        BadArgument: An option that it needs is missing.
    """
    load = find(__name__, name).load
    check_options(f"the generator {name}", load, options)
    generator: Generator = load(**options)
    return generator
