"""Asks a language model for a chunk's abbreviations before the chunk is worked on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from drehr_rag.training.chat import Chat
from drehr_rag.training.outcomes import Outcome
from drehr_rag.training.stage1.work import Stage1
from drehr_rag.types import Chunk

MOST = 60
"""Abbreviations of a reply, and characters of a short form: a chunk has 100 words, and without a
bound a model may never close its reply."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "abbreviations": {
            "type": "array",
            "maxItems": MOST,
            "items": {
                "type": "object",
                "properties": {
                    "short": {"type": "string", "maxLength": MOST},
                    "long": {"type": "string", "maxLength": 200},
                },
                "required": ["short", "long"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["abbreviations"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class AskingFirst:
    """The work on a chunk, for `building.build_async`.

    Attributes:
        chat: The model.
        work: Done with its reply.
    """

    chat: Chat
    work: Stage1

    async def __call__(self, chunk: Chunk) -> Outcome:
        """A chunk's outcome."""
        prompt = _template().format(passage=chunk.text)
        return self.work(chunk, await self.chat.ask(prompt, schema=SCHEMA))

    def settings(self) -> dict[str, Any]:
        """What decides on the replies, for the manifest."""
        checksum = sha256(_template().encode()).hexdigest()
        return {**self.chat.settings(), "prompt_sha256": checksum}


@cache
def _template() -> str:
    folder = files("drehr_rag.training.stage1")
    return folder.joinpath("prompts/abbreviations.md").read_text("utf-8")
