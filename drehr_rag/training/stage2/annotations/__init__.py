"""Labels that people gave to notes: one module a source, each with `read(place, …)`.

With `LICENCE`, the data's, it stands in the manifest and the model's card.
A new source is one file here, or an entry point of the group
`drehr_rag.training.stage2.annotations`.
"""

from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from urllib.parse import parse_qsl

from drehr_rag._registry import find
from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.training.stage2.annotations._labels import Label, LabelledNote
from drehr_rag.types import Note, Reject

__all__ = ["Label", "LabelledNote", "licence_of", "place_of", "read_annotations"]


def read_annotations(
    source: str, *, notes: Sequence[str | Path] = ()
) -> Iterator[LabelledNote | Reject]:
    """Every note of a source with its labels, as a stream.

    Args:
        source: `NAME:FILE[?OPTION=VALUE&…]`, e.g. `vaers:2000VAERSData.zip`.
        notes: Files of notes, for a source that holds labels only (`table`).

    Raises:
        UnknownName: No source, or no option of it, has this name.
        TrainingError: The file cannot be read.
        BadArgument: Notes are given that the source has itself, or none that it needs.
    """
    place, name = place_of(source), source.partition(":")[0]
    query = source.partition("?")[2]
    read = find(__name__, name).read
    options = dict(parse_qsl(query, keep_blank_values=True))
    parameters = [p for p in signature(read).parameters if p not in ("place", "notes")]
    if wrong := sorted(set(options) - set(parameters)):
        takes = f"take {', '.join(parameters)}" if parameters else "have no options"
        raise UnknownName(f"annotations of {name} {takes}, not {', '.join(wrong)}")
    if "notes" not in signature(read).parameters:
        if notes:
            raise BadArgument(f"annotations of {name} hold their notes: leave --notes out")
        return iter(read(place, **options))
    if not notes:
        raise BadArgument(f"annotations of {name} hold labels only: name the notes with --notes")
    return iter(read(place, notes=notes, **options))


def place_of(source: str) -> Path:
    """The file of a source.

    Raises:
        BadArgument: It names none.
    """
    if not (place := source.partition("?")[0].partition(":")[2]):
        raise BadArgument(
            f"annotations are NAME:FILE, e.g. vaers:2000VAERSData.zip, not {source!r}"
        )
    return Path(place)


def licence_of(source: str) -> str | None:
    """Of the data that a source holds, if its reader knows it."""
    licence: str | None = getattr(find(__name__, source.partition(":")[0]), "LICENCE", None)
    return licence


def note_of(note_id: str, text: str) -> Note:
    """A note of nobody known, as these sources have them."""
    return Note(note_id=note_id, patient_id=note_id, text=text)
