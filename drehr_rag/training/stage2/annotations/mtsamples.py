"""MTSamples: the site's own keywords of each note, and its one-line description.

Keywords are phrases taken from the note (98 % are written in it), some of them cut off ("pelvic
pai"): they go where they are written as whole words, and nowhere else.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drehr_rag.errors import NoteError, TrainingError, UnknownName
from drehr_rag.notes.readers._open import byte_lines
from drehr_rag.training.split import Split
from drehr_rag.training.stage2.annotations import note_of
from drehr_rag.training.stage2.annotations._labels import Label, LabelledNote
from drehr_rag.types import Note, Reject

LICENCE = "MTSamples' terms: free to print, share and distribute, with credit and a link"

LABELS = ("keywords", "description", "name")


def read(
    place: Path, *, labels: str = "keywords", keep: str | None = None
) -> Iterator[LabelledNote | Reject]:
    """Each note with its keywords.

    Args:
        place: JSON Lines with `note_id`, `text`, `keywords`, `description`, `sample_name`.
        labels: `keywords`, `description`, `name` (the sample's title), or several with commas. The
            last two are about the whole note.
        keep: A part of the notes, e.g. `cluster:0-5/10`; see `drehr_rag.training.split`.

    Raises:
        TrainingError: The file cannot be read.
        UnknownName: There is no such kind of label.
    """
    kinds = labels.split(",")
    if unknown := set(kinds) - set(LABELS):
        raise UnknownName(f"mtsamples has {', '.join(LABELS)}, not {', '.join(sorted(unknown))}")
    split = Split.parse(keep) if keep else None
    try:
        for number, line in byte_lines(place):
            made = _note(line, kinds, str(place), number)
            if isinstance(made, Reject):
                yield made
            elif made and (split is None or split.keeps(made[0])):
                yield LabelledNote(note_of(made[0].note_id, made[0].text), made[1], made[2])
    except NoteError as problem:
        raise TrainingError(str(problem)) from None


Made = tuple[Note, tuple[Label, ...], Counter[str]]


def _note(line: bytes, kinds: list[str], file: str, number: int) -> Made | Reject | None:
    if not line.strip():
        return None
    try:
        row = json.loads(line)
        plain = {name: row[name] for name in row if isinstance(row[name], str)}
        note = note_of(plain["note_id"], plain["text"]).model_copy(update={"metadata": plain})
        return note, *_labels(row, kinds)
    except (ValueError, RecursionError, KeyError, TypeError):
        return Reject(file, number, "not a note of MTSamples: note_id and text are needed")


def _labels(row: dict[str, Any], kinds: list[str]) -> tuple[tuple[Label, ...], Counter[str]]:
    made = []
    if "keywords" in kinds:
        made += [Label(word, rule="written") for word in row.get("keywords") or () if word.strip()]
    if "description" in kinds and (row.get("description") or "").strip():
        made.append(Label(row["description"].strip(), rule="mostly"))
    if "name" in kinds and (row.get("sample_name") or "").strip():
        made.append(Label(row["sample_name"].strip(), rule="mostly"))
    return tuple(made), Counter()
