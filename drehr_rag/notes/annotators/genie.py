"""GENIE on a vLLM server, its replies read by `notes/genie.py`; long notes in parts."""

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from drehr_rag.errors import ContextOverflow, ReplyUnusable
from drehr_rag.notes.assertions import Span
from drehr_rag.notes.genie import MAX_TOKENS, Completing, structured_by
from drehr_rag.notes.sections import split_sections
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.types import Mention

PART = 4_000
"""Characters of a note that are asked for at a time: about a thousand tokens, whose reply, several
times as long, stays within `MAX_TOKENS` and both within a context of 8,192. A guess: no reply of
GENIE was ever seen here."""


def load(*, client: Completing, max_tokens: int = MAX_TOKENS) -> "Genie":
    """GENIE behind a client, such as `load_generator("openai", url=…, model=…)`."""
    return Genie(client, max_tokens=max_tokens)


class Genie:
    """Asks for a note's mentions.

    A note whose reply cannot be used has none, so rules read it when it is searched. A server that
    is not there, or refuses, is an error: it would be one of every note. A long note is asked for
    in parts: whole sections where they fit, else whole sentences.

    Attributes:
        lost: What could not be used, as in `notes.genie.Structured`; `no reply`: parts that
            are too long for the model, or whose reply held no text.
    """

    def __init__(self, client: Completing, *, max_tokens: int = MAX_TOKENS) -> None:
        """Nothing is sent yet."""
        self._client, self._max_tokens = client, max_tokens
        self._lock = Lock()
        self.lost: Counter[str] = Counter()

    def __call__(self, text: str) -> Iterator[Mention]:
        """Those whose assertion GENIE told in a word that is known.

        Raises:
            GeneratorError: The server does not answer, or would refuse any note.
        """
        for start, end in parts(text):
            try:
                found = structured_by(self._client, text[start:end], max_tokens=self._max_tokens)
            except (ContextOverflow, ReplyUnusable):
                self._count({"no reply": 1})
                continue
            self._count(dict(found.lost))
            for one in found.mentions:
                if one.status is not None:
                    yield Mention(start + one.start, start + one.end, one.status)

    def _count(self, lost: dict[str, int]) -> None:
        with self._lock:  # several threads ask at once
            self.lost.update(lost)


def parts(text: str, most: int = PART) -> list[Span]:
    """A text in stretches of at most so many characters, unless one sentence has more."""
    if len(text) <= most:
        return [(0, len(text))]
    found: list[Span] = []
    for start, end in _pieces(text, most):
        if found and end - found[-1][0] <= most:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found


def _pieces(text: str, most: int) -> Iterator[Span]:
    for section in split_sections(text):
        if section.end - section.start <= most:
            yield section.start, section.end
        else:
            yield from sentence_spans(text, section.start, section.end)
