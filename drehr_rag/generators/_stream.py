"""Server-sent events of a chat completion, to pieces of its reply."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from drehr_rag.generators._replies import counted, whole_characters
from drehr_rag.protocols import Piece

LONGEST = 1_000_000
"""Bytes of a line: a piece is a few tokens, so what is longer is no piece."""

_FIELDS = {b"", b"data", b"event", b"id", b"retry"}
"""Of an event, by the HTML standard; the nameless one is a comment, which keeps a line alive."""


class Garbled(Exception):
    """Why what came is no reply: words of ours that go on from "the server …"."""


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    """Each piece that holds text, then one without that says why the reply ended.

    Raises:
        Garbled: The reply broke off, or is none.
    """
    finish = tokens = None
    async with aclosing(_events(chunks)) as events:
        async for data in events:
            if data == b"[DONE]":
                break
            event = _checked(data)
            tokens = counted(event) or tokens
            for choice in event["choices"][:1]:  # the event that counts the tokens has none
                finish = choice.get("finish_reason") or finish
                if text := (choice.get("delta") or {}).get("content"):
                    yield Piece(whole_characters(text))
    if finish is None:
        raise Garbled("broke off its reply")
    yield Piece("", finish, tokens)


async def _events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The data of each event.

    Lines end with a line feed and nothing else: httpx's own lines end at U+2028 too, which a text
    may hold.
    """
    rest, held = b"", list[bytes]()
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST:
            raise Garbled("sent something that is no stream of a reply")
        for line in lines:
            if value := _value(line):
                held.append(value)
            elif held and not line.strip():
                yield b"\n".join(held)
                held = []
    if held:
        yield b"\n".join(held)


def _value(line: bytes) -> bytes | None:
    """What a line adds to its event's data."""
    line = line.rstrip(b"\r")
    name, colon, value = line.partition(b":")
    if name not in _FIELDS or (line and not colon):
        raise Garbled("sent something that is no stream of a reply")
    if name == b"event" and value.strip() == b"error":
        raise Garbled("broke off its reply with an error")
    return value.removeprefix(b" ") if name == b"data" else None


def _checked(data: bytes) -> dict[str, Any]:
    """The event, if it has the form of one; an error's words are not repeated."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        raise Garbled("sent something that is not JSON") from None
    if isinstance(event, dict) and (event.get("error") or event.get("object") == "error"):
        raise Garbled("broke off its reply with an error")
    if not _fits(event):
        raise Garbled("sent something that is no piece of a reply")
    return dict(event)


def _fits(event: Any) -> bool:
    choices = event.get("choices") if isinstance(event, dict) else None
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        return False
    deltas = [one.get("delta") or {} for one in choices]
    return all(
        isinstance(delta, dict) and isinstance(delta.get("content"), str | None) for delta in deltas
    ) and all(isinstance(one.get("finish_reason"), str | None) for one in choices)
