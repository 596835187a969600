"""What an annotator said of texts, kept in a file: what was said once is not asked for again."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import IO, Any

from drehr_rag.errors import BadArgument
from drehr_rag.types import Mention

KIND = "what an annotator said, by drehr-rag annotate"


class Remembering:
    """An annotator that remembers. The file holds hashes and offsets, no words of a note.

    Attributes:
        held: Calls that were answered from the file.
    """

    def __init__(
        self, annotator: Any, file: IO[bytes], places: dict[str, int], already: int
    ) -> None:
        """Keep the parts; `places` tell where in the file each text's line stands."""
        self.held = 0
        self._annotator, self._file, self._places = annotator, file, places
        self._end, self._lock = already, Lock()

    def __call__(self, text: str) -> Iterable[Mention]:
        """The mentions of a text: as they were said before, or asked for and kept."""
        name = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if (place := self._places.get(name)) is not None:
                self.held += 1
                self._file.seek(place)
                return [Mention(*one) for one in json.loads(self._file.readline())[1]]
        said = list(self._annotator(text))
        row = json.dumps([name, [[one.start, one.end, one.status] for one in said]])
        with self._lock:
            self._file.seek(self._end)
            self._places[name] = self._end
            self._end += self._file.write(row.encode() + b"\n")
            self._file.flush()
        return said


@contextmanager
def remembering(annotator: Any, path: Path, settings: Mapping[str, Any]) -> Iterator[Remembering]:
    """The annotator with its memory; a line that a kill tore is cut off, of our own file alone.

    Raises:
        BadArgument: The file is of something else, or of other settings, or cannot be written.
    """
    head = json.dumps({"kind": KIND, **settings}).encode() + b"\n"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise BadArgument(f"{path} cannot be written: {problem.strerror}") from None
    with os.fdopen(handle, "r+b") as file:
        first = file.readline()
        if not first:
            file.write(head)
            file.flush()
            first = head
        _check(first, head, path)
        places, end = {}, len(first)
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                places[json.loads(line)[0]] = end
            except (ValueError, LookupError, TypeError):
                raise BadArgument(f"{path} is damaged: remove it to annotate anew") from None
            end += len(line)
        file.truncate(end)
        yield Remembering(annotator, file, places, end)


def _check(first: bytes, head: bytes, path: Path) -> None:
    if first == head:
        return
    try:
        known = json.loads(first)
        ours = isinstance(known, dict) and known.pop("kind", None) == KIND
    except ValueError:
        ours = False
    if not ours:
        raise BadArgument(f"{path} was not made by this command: give --out another name")
    asked = {name: value for name, value in json.loads(head).items() if name != "kind"}
    raise BadArgument(
        f"{path} holds what was said {_told(known)}, not {_told(asked)}: "
        "give --out another name, or remove that file to annotate anew"
    )


def _told(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
