"""What a question asks about: by the terms of a knowledge graph, or by asking a generator."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from drehr_rag.kg import Matcher
from drehr_rag.protocols import GenerationRequest, Generator
from drehr_rag.qa.json_replies import json_of, words_of

MOST = 6
"""Entities of a question that are searched for."""

LONGEST = 80
"""Characters of an entity."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "entities": {
            "type": "array",
            "maxItems": MOST,
            "items": {"type": "string", "maxLength": LONGEST},
        }
    },
    "required": ["entities"],
    "additionalProperties": False,
}


class ByGraph:
    """The graph's terms in a question, the longest first to be found.

    Args:
        matcher: `Matcher.of(graph)`.
    """

    def __init__(self, matcher: Matcher) -> None:
        """Keep it."""
        self._matcher = matcher

    def __call__(self, question: str) -> Sequence[str]:
        """As they stand in the question, each once."""
        found = (question[start:end] for start, end, _ in self._matcher.find(question))
        return list(dict.fromkeys(found))[:MOST]


class ByGenerator:
    """A language model names them; of a reply that cannot be used nothing is taken.

    Args:
        generator: What is asked.
    """

    def __init__(self, generator: Generator) -> None:
        """Keep it."""
        self._generator = generator

    def __call__(self, question: str) -> Sequence[str]:
        """Those of the reply that are words.

        Raises:
            GeneratorError: The server failed.
        """
        prompt = _template().replace("{question}", question)
        asked = GenerationRequest(prompt, question, (), _SCHEMA)
        said = json_of(self._generator.generate(asked))
        named = said.get("entities") if isinstance(said, dict) else None
        if not isinstance(named, list):
            return []
        words = (words_of(one, LONGEST) for one in named)
        return list(dict.fromkeys(one for one in words if one))[:MOST]


@cache
def _template() -> str:
    return files("drehr_rag.qa").joinpath("prompts/entities.md").read_text("utf-8")
