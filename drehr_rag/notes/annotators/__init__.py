"""Notes to notes with their mentions: one module an annotator, each with `load(…)`.

What an annotator says is stored with the chunks and goes before the rules when they are searched
(`drehr_rag.notes.told`).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from drehr_rag._arguments import whole
from drehr_rag._registry import check_options, find
from drehr_rag.errors import NoteError
from drehr_rag.protocols import NoteStream
from drehr_rag.types import Mention, Note, Reject

__all__ = ["Annotator", "annotated", "load_annotator"]


class Annotator(Protocol):
    """Says what a text mentions, and what it says of it."""

    def __call__(self, text: str) -> Iterable[Mention]:
        """The mentions of a text, in any order."""
        ...


def load_annotator(name: str, **options: Any) -> Annotator:
    """An annotator by name: `rules`, `medspacy` or `genie`.

    Raises:
        UnknownName: There is none of this name, or it has no such option.
        BadArgument: An option that it needs is missing (`find`, or `client` of `genie`).
        MissingExtra: What it needs is not installed.
    """
    load = find(__name__, name).load
    check_options(f"the annotator {name}", load, options)
    annotator: Annotator = load(**options)
    return annotator


def annotated(
    notes: NoteStream, annotator: Annotator, *, at_once: int = 1
) -> Iterator[Note | Reject]:
    """The notes with their mentions, in their order, as they are asked for.

    Mentions that a note came with give way to the annotator's; rejects pass.

    Args:
        notes: Notes and rejects, of any length: few are held at a time.
        annotator: Called with each note's text.
        at_once: So many notes are annotated at a time, in threads: for annotators that wait.

    Raises:
        NoteError: The source is damaged; what came before the damage was given.
        ValidationError: The annotator gave mentions that lie outside of the text.

    >>> from drehr_rag.notes.annotators.rules import Rules
    >>> words = Rules(lambda text: [(7, 17)])
    >>> note = Note(note_id="n1", patient_id="p1", text="Denies chest pain.")
    >>> [one.mentions for one in annotated([note], words)]
    [(Mention(start=7, end=17, status='negated'),)]
    """
    whole(at_once, "at_once", 1)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="drehr-annotator")
    waiting: deque[Future[Note | Reject]] = deque()
    damage: list[NoteError] = []
    try:
        for row in _whole(notes, damage):
            waiting.append(pool.submit(_annotated, row, annotator))
            if len(waiting) >= 2 * at_once:  # so that no thread waits for one slow note
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if damage:
            raise damage[0]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _whole(notes: NoteStream, damage: list[NoteError]) -> Iterator[Note | Reject]:
    """Its rows up to where it is damaged: those before are given before anybody is told."""
    try:
        yield from notes
    except NoteError as problem:
        damage.append(problem)


def _annotated(row: Note | Reject, annotator: Annotator) -> Note | Reject:
    if not isinstance(row, Note):
        return row
    fields = {name: getattr(row, name) for name in Note.model_fields}
    made = Note(**{**fields, "mentions": annotator(row.text)})
    return made.read_from(*row.origin)
