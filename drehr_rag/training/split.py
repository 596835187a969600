"""Which notes belong to a part of the data: by a hash, the same on every machine.

`cluster:0-5/10` keeps the notes whose column `cluster` falls on 0 to 5 of 10 parts: a fixed six
tenths, in which notes that share a value stay together.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.types import Note

_FORM = re.compile(r"(\w+):(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)/(\d+)")


@dataclass(frozen=True, slots=True)
class Split:
    """Notes by the hash of one column.

    Attributes:
        column: A field of the note, or a name in its metadata.
        parts: Those kept, each from 0 to `of` - 1.
        of: How many parts there are.
    """

    column: str
    parts: tuple[int, ...]
    of: int = 10

    def __post_init__(self) -> None:
        """Refuse parts that there are not.

        Raises:
            BadArgument: No part is kept, or one is not below `of`.
        """
        if not self.parts or not all(0 <= part < self.of for part in self.parts):
            raise BadArgument(
                f"a split keeps parts from 0 to {self.of - 1} (of {self.of}), not {self.parts}"
            )

    @classmethod
    def parse(cls, text: str) -> "Split":
        """From `COLUMN:PARTS/OF`, e.g. `cluster:0-5/10` or `patient_id:8,9/10`.

        Raises:
            BadArgument: It is not of this form.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise BadArgument(f"a split is COLUMN:PARTS/OF, e.g. cluster:0-5/10, not {text!r}")
        parts = [_parts(piece) for piece in match[2].split(",")]
        return cls(match[1], tuple(sorted({n for some in parts for n in some})), int(match[3]))

    def __str__(self) -> str:
        """As it is parsed."""
        return f"{self.column}:{','.join(map(str, self.parts))}/{self.of}"

    def keeps(self, note: Note) -> bool:
        """Whether `sha256(value) % of` is one of the parts, the digest taken as a number.

        Raises:
            TrainingError: The note does not have the column: nobody knows where it belongs.
        """
        value = note.metadata.get(self.column)
        if value is None and self.column in Note.model_fields:
            value = getattr(note, self.column)
        if value is None or isinstance(value, dict | list):
            file, line = note.origin
            raise TrainingError(
                f"note {note.note_id!r} ({file}:{line}) has no {self.column!r} to split by: "
                "name another column in --keep, or complete the notes"
            )
        return int(sha256(str(value).encode()).hexdigest(), 16) % self.of in self.parts


def _parts(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)
