"""A generator's reply to claims: what it says, and the words that it says it rests on."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from drehr_rag.errors import ReplyUnusable
from drehr_rag.qa.json_replies import json_of

_BEGIN = re.compile(r'"not_in_notes"\s*:\s*false\s*,\s*"sentences"\s*:\s*\[')
_NEXT = re.compile(r"\s*,?\s*")


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of a reply.

    Attributes:
        text: On one line; half of a surrogate pair, which no file can hold, is a question mark.
        passages: Numbers from 1.
        quote: Words that stand in one of them.
    """

    text: str = field(repr=False)
    passages: tuple[int, ...]
    quote: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claims:
    """A whole reply; `not_in_notes` is the generator's own word for it."""

    sentences: tuple[Claim, ...]
    not_in_notes: bool = False


def claims_of(reply: str) -> Claims:
    """The claims of a reply of `asking.schema`; what else is in it is left out.

    Raises:
        ReplyUnusable: It is no such JSON, nor holds it in a code fence.
    """
    try:
        said = json_of(reply)
        absent = said.get("not_in_notes", False)
        if not isinstance(absent, bool):
            raise TypeError
        return Claims(tuple(map(_claim, said["sentences"])), absent)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ReplyUnusable("the generator's reply does not fit the schema it was given") from None


class Growing:
    """Claims of a reply that is still being written, each as soon as it is closed.

    Only of one in the schema's order, which says first that the notes tell; all others wait.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._text, self._place = "", 0

    def add(self, more: str) -> Iterator[Claim]:
        """The claims that are whole now; what does not parse is left to `claims_of` at the end."""
        self._text += more
        if not self._place:
            begin = _BEGIN.search(self._text)
            if begin is None:
                return
            self._place = begin.end()
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Claim | None:
        between = _NEXT.match(self._text, self._place)
        start = between.end() if between else self._place
        try:
            said, self._place = json.JSONDecoder().raw_decode(self._text, start)
            return _claim(said)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _claim(said: Any) -> Claim:
    numbers = said["passages"]
    well = isinstance(said["text"], str) and isinstance(said["quote"], str)
    if not (well and isinstance(numbers, list) and all(type(n) is int for n in numbers)):
        raise TypeError
    text, quote = (said[name].encode(errors="replace").decode() for name in ("text", "quote"))
    return Claim(" ".join(text.split()), tuple(dict.fromkeys(numbers)), quote)
