"""Asks a language model for the entities of each type in a chunk, and makes an example of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal, get_args

from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.training.chat import Chat
from drehr_rag.training.chat_replies import Reply, Silence
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import text_key
from drehr_rag.training.outcomes import Outcome
from drehr_rag.training.stage2.entities import Parsed
from drehr_rag.training.stage2.json_replies import SCHEMA, parse_json
from drehr_rag.training.stage2.replies import parse_bullets
from drehr_rag.types import Chunk

TYPES = ("diagnosis", "procedure", "prescription")
"""One request each (PAPER.md §1, stage 2); `prompts/<type>.md` asks it."""

Form = Literal["bullets", "json"]
"""How the reply is asked for: as the paper does, or by a JSON schema that the server keeps to."""


class Asking:
    """The work on a chunk, for `building.build_async`.

    Args:
        chat: The model.
        types: What is asked for.
        form: How the reply is asked for.

    Raises:
        UnknownName: No type or form has this name.
        BadArgument: There are no types.
    """

    def __init__(
        self,
        chat: Chat,
        *,
        types: Sequence[str] = TYPES,
        form: str = "bullets",
    ) -> None:
        """Check the names."""
        if unknown := [name for name in types if name not in TYPES]:
            raise UnknownName(f"no type is called {unknown[0]!r}: {', '.join(TYPES)}")
        if form not in get_args(Form):
            raise UnknownName(f"no form is called {form!r}: {', '.join(get_args(Form))}")
        if not types:
            raise BadArgument(f"name at least one type: {', '.join(TYPES)}")
        self._chat, self._types, self._form = chat, tuple(dict.fromkeys(types)), form

    def settings(self) -> dict[str, Any]:
        """What decides on the examples, for the manifest."""
        prompts = "\n".join(_template(name, self._form) for name in self._types)
        return {
            **self._chat.settings(),
            "types": list(self._types),
            "form": self._form,
            "prompts_sha256": sha256(prompts.encode()).hexdigest(),
        }

    async def __call__(self, chunk: Chunk) -> Outcome:
        """The chunk's example; what failed of one type does not lose the others."""
        said = await asyncio.gather(*(self._ask(name, chunk.text) for name in self._types))
        replies = dict(zip(self._types, said, strict=True))
        parsed = {
            name: self._parsed(reply)
            for name, reply in replies.items()
            if not isinstance(reply, Silence)
        }
        counts = _counts(parsed)
        counts["requests"] = len(replies)
        failures = [f"{name}: {why}" for name, why in _failures(replies, parsed)]
        entities = _merged(parsed.values())
        if not entities and not failures:
            counts["chunks without entities"] += 1
        return Outcome(
            Example(idx=chunk.chunk_id, text=chunk.text, entities=entities) if entities else None,
            counts,
            tuple(failures),
            answered=any(isinstance(reply, Reply) for reply in said),
            again=any(isinstance(reply, Silence) and reply.passing for reply in said),
        )

    async def _ask(self, name: str, passage: str) -> Reply | Silence:
        prompt = _template(name, self._form).replace("{passage}", passage)
        return await self._chat.ask(prompt, schema=SCHEMA if self._form == "json" else None)

    def _parsed(self, reply: Reply) -> Parsed:
        parse = parse_json if self._form == "json" else parse_bullets
        return parse(reply.text, cut=reply.cut)


@cache
def _template(name: str, form: str) -> str:
    folder = files("drehr_rag.training.stage2").joinpath("prompts")
    texts = [folder.joinpath(f"{one}.md").read_text("utf-8") for one in (name, f"form_{form}")]
    return texts[0].replace("{form}", texts[1].strip()).strip()


def _counts(parsed: Mapping[str, Parsed]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, one in parsed.items():
        counts[f"entities: {name}"] += len(one.entities)
        for reason, count in one.refused:
            counts[f"refused: {reason}"] += count
    return counts


def _failures(
    replies: Mapping[str, Reply | Silence], parsed: Mapping[str, Parsed]
) -> list[tuple[str, str]]:
    silent = [
        (name, f"the server {reply.reason}")
        for name, reply in replies.items()
        if isinstance(reply, Silence)
    ]
    return silent + [(name, one.failure) for name, one in parsed.items() if one.failure]


def _merged(parsed: Iterable[Parsed]) -> tuple[str, ...]:
    """Each entity once, whichever type it was listed under first."""
    kept: dict[int, str] = {}
    for one in parsed:
        for entity in one.entities:
            kept.setdefault(text_key(entity), entity)
    return tuple(kept.values())
