"""What a question asks about: by the terms of a knowledge graph, or by asking a generator."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from drehr_rag.errors import GeneratorError
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
        return _named(self._generator.generate(_request(question)))

    def many(self, questions: Sequence[str]) -> list[Sequence[str] | GeneratorError]:
        """Those of each question, or why there are none; asked at once, if the generator can."""
        together = getattr(self._generator, "generate_many", None)
        if together is None:
            return [self._outcome(question) for question in questions]
        replies = together([_request(question) for question in questions])
        return [one if isinstance(one, GeneratorError) else _named(one.text) for one in replies]

    def _outcome(self, question: str) -> Sequence[str] | GeneratorError:
        try:
            return self(question)
        except GeneratorError as problem:
            return problem


def _request(question: str) -> GenerationRequest:
    prompt = _template().replace("{question}", question)
    return GenerationRequest(prompt, question, (), _SCHEMA)


def _named(reply: str) -> Sequence[str]:
    said = json_of(reply)
    named = said.get("entities") if isinstance(said, dict) else None
    if not isinstance(named, list):
        return []
    words = (words_of(one, LONGEST) for one in named)
    return list(dict.fromkeys(one for one in words if one))[:MOST]


@cache
def _template() -> str:
    return files("drehr_rag.qa").joinpath("prompts/entities.md").read_text("utf-8")
