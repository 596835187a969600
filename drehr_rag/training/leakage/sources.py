"""What is held out, as texts: `BENCHMARK:PLACE` or `notes:FILE`, with options as in an address."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from drehr_rag.errors import TrainingError, UnknownName
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.notes.readers import Fields, read_notes, recognise
from drehr_rag.training.leakage.held_out_ids import HeldOutIds
from drehr_rag.training.split import Split
from drehr_rag.types import Note

NOTES = "notes"
ONLY = "only"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A text that must not be trained on.

    Attributes:
        key: Its id, which a report gives.
        note_id: Of the note that it is from.
        text: Its text.
        source: What it is held out for, as it was named.
    """

    key: str
    note_id: str
    text: str = field(repr=False)
    source: str = ""


def held_out_texts(source: str) -> Iterator[HeldOut]:
    """Every passage of a benchmark, or every note of a file.

    Args:
        source: `BENCHMARK:PLACE[?OPTION=VALUE&…]` (`devset:./vaers2004`, `beir:./set?split=dev`,
            `ward`), or `notes:FILE` (in a table or JSON Lines, `note_id=COLUMN` and `text=COLUMN`
            say where they stand; no patient is needed). With `only=FILE`, those of the notes that
            this file names; of `notes`, with `keep=cluster:8,9/10` a part (see `split`).

    Raises:
        UnknownName: No benchmark, or no option of it, has this name.
        EvaluationError: The benchmark cannot be read.
        NoteError: The file of notes cannot be read.
        TrainingError: The file of `only` is missing, or names no note of this source.
    """
    address, _, query = source.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    only = HeldOutIds.read(options.pop(ONLY)) if ONLY in options else None
    name, _, place = address.partition(":")
    if name == NOTES:
        texts = _notes(place, source, options)
    else:
        passages = load_benchmark(name, place or None, **options).passages
        texts = (HeldOut(key, p.note_id, p.text, source) for key, p in passages.items())
    return texts if only is None else _those(texts, only)


def _notes(place: str, source: str, options: dict[str, str]) -> Iterator[HeldOut]:
    keep = Split.parse(options.pop("keep")) if "keep" in options else None
    for note in read_notes(place, fields=_fields(place, options, keep)):
        if not isinstance(note, Note):
            raise TrainingError(
                f"{note.file}:{note.line}: {note.reason}: a held-out note that cannot be read "
                "would not be held out; put the file right"
            )
        if keep is None or keep.keeps(note):
            yield HeldOut(note.note_id, note.note_id, note.text, source)


def _fields(place: str, options: dict[str, str], keep: Split | None) -> Fields | None:
    """Whose a note is does not matter here, so its own id stands for the patient's."""
    if wrong := sorted(options.keys() - {"note_id", "text"}):
        raise UnknownName(f"held-out notes take keep, note_id, only, text, not {', '.join(wrong)}")
    if recognise(Path(place)) not in ("csv", "jsonl"):
        return None
    columns = {**options, "patient_id": options.get("note_id", "note_id")}
    wanted = () if keep is None or keep.column in Note.model_fields else (keep.column,)
    return Fields(columns=columns, metadata=wanted)


def _those(texts: Iterable[HeldOut], only: HeldOutIds) -> Iterator[HeldOut]:
    count = 0
    for held in texts:
        if held.note_id in only.ids:
            count += 1
            yield held
    if not count:
        raise TrainingError(
            f"{only.file} names {len(only.ids):,} notes, and none is there: ids of another set?"
        )
