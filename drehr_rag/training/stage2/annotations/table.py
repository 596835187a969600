"""Labels in a table of your own, CSV or JSON Lines, of notes that lie elsewhere.

```text
note_id,entity,concept,start,end          {"note_id": "n1", "entities": ["gout", "fever"]}
n1,gout,MESH:D006073,,                    {"note_id": "n1", "entity": "gout", "start": 3, "end": 7}
```
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drehr_rag._files import opened
from drehr_rag.errors import TrainingError
from drehr_rag.notes.readers import read_notes
from drehr_rag.training.stage2.annotations._labels import Label, LabelledNote
from drehr_rag.types import Note, Reject


def read(
    place: Path,
    *,
    notes: Sequence[str | Path],
    note_id: str = "note_id",
    entity: str = "entity",
    entities: str = "entities",
    concept: str = "concept",
    start: str = "start",
    end: str = "end",
) -> Iterator[LabelledNote | Reject]:
    """Each note that has labels.

    With `start` and `end` (offsets in the note's text) a label goes to the chunks that hold it;
    without, to the note, as `_labels.Rule` says.

    Args:
        place: `.csv`, `.tsv` or JSON Lines, plain or gzipped; held in memory.
        notes: Files of notes, in any format that is read.
        note_id: Name of the column.
        entity: Likewise; one entity.
        entities: Likewise, of JSON Lines; a list of them.
        concept: Likewise; may be missing or empty.
        start: Likewise.
        end: Likewise.

    Raises:
        TrainingError: The table cannot be read or lacks a column.
        NoteError: The notes cannot be read.
    """
    names = {"entity": entity, "concept": concept, "start": start, "end": end}
    found: dict[str, list[Label]] = {}
    for number, row in _rows(place):
        key, some = row.get(note_id), row.get(entities)
        listed = some if isinstance(some, list) else [row.get(entity)]
        labels = [_label({**row, entity: one}, names) for one in listed]
        if not isinstance(key, str | int) or str(key) == "" or None in labels:
            yield Reject(str(place), number, f"no {note_id} and {entity}, or offsets that are none")
        else:
            found.setdefault(str(key), []).extend(label for label in labels if label)
    if not found:
        raise TrainingError(
            f"{place} holds no label: it needs columns {note_id} and {entity}, or name yours "
            f"({place}?note_id=COLUMN&entity=COLUMN)"
        )
    for source in notes:
        for note in read_notes(source):
            if isinstance(note, Reject):
                yield note
            elif (labels_ := found.pop(note.note_id, None)) is not None:
                yield _checked(note, labels_)
    for key in found:
        yield Reject(str(place), None, "labels of a note that is not there", key)


def _rows(place: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    plain = place.name.lower().removesuffix(".gz")
    with opened(place, error=TrainingError) as stream:
        if plain.endswith((".csv", ".tsv")):
            table = csv.DictReader(stream, delimiter="\t" if plain.endswith(".tsv") else ",")
            try:
                yield from ((table.line_num, row) for row in table)
            except csv.Error as problem:
                raise TrainingError(f"{place}:{table.line_num}: broken CSV: {problem}") from None
            return
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, _object(line)


def _object(line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _label(row: Mapping[str, Any], names: Mapping[str, str]) -> Label | None:
    text, concept = row.get(names["entity"]), row.get(names["concept"])
    if not isinstance(text, str) or not text.strip():
        return None
    concept = concept.strip() or None if isinstance(concept, str) else None
    given = [str(row.get(names[name]) if row.get(names[name]) is not None else "") for name in ENDS]
    if not any(given):
        return Label(text.strip(), concept)
    if not all(number.isdecimal() for number in given):
        return None
    return Label(text.strip(), concept, "span", int(given[0]), int(given[1]))


ENDS = ("start", "end")


def _checked(note: Note, labels: list[Label]) -> LabelledNote:
    good = [label for label in labels if label.rule != "span" or _inside(label, note.text)]
    outside = Counter({"offsets outside the note": len(labels) - len(good)})
    return LabelledNote(note, tuple(good), +outside)


def _inside(label: Label, text: str) -> bool:
    return 0 <= label.start < label.end <= len(text)
