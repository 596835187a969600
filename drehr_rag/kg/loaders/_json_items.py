"""The entries of one large JSON object, one after the other, in little memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from drehr_rag.errors import GraphError
from drehr_rag.kg.loaders._open import reading

BLOCK = 1 << 20
_SPACE = re.compile(r"[\s,]*")


def json_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Each name and value of the object that is the file.

    Raises:
        GraphError: The file is no JSON object, or is cut short.
    """
    with reading(path) as file:
        yield from _Items(path, file).read()


class _Items:
    """A window on the text, moved along."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.place = "", 0
        self.decode = json.JSONDecoder().raw_decode

    def read(self) -> Iterator[tuple[str, Any]]:
        self._more()
        if not self.text.lstrip().startswith("{"):
            raise GraphError(f"{self.path} is no JSON object")
        self.place = self.text.index("{") + 1
        while (mark := self._next()) != "}":
            name = self._value()
            if not isinstance(name, str) or mark != '"' or self._next() != ":":
                raise self._broken()
            self.place += 1
            self._next()
            yield name, self._value()

    def _next(self) -> str:
        """The next mark that is neither space nor comma."""
        while True:
            found = _SPACE.match(self.text, self.place)
            self.place = found.end() if found else self.place
            if self.place < len(self.text):
                return self.text[self.place]
            if not self._more():
                raise self._broken()

    def _value(self) -> Any:
        while True:
            try:
                value, end = self.decode(self.text, self.place)
            except ValueError:
                if not self._more():
                    raise self._broken() from None
                continue
            if end < len(self.text) or not self._more():  # a number may go on in the next block
                self.place = end
                return value

    def _more(self) -> bool:
        block = self.file.read(max(BLOCK, len(self.text) - self.place))
        self.text, self.place = self.text[self.place :] + block, 0
        return bool(block)

    def _broken(self) -> GraphError:
        return GraphError(f"{self.path} is broken JSON or cut short: fetch it again")
