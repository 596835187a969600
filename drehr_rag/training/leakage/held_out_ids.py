"""A file of ids that must not be trained on: of notes or of chunks."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from drehr_rag._files import checksum, opened
from drehr_rag.errors import TrainingError


@dataclass(frozen=True)
class HeldOutIds:
    """Ids, and where they come from.

    Attributes:
        ids: Of notes, or of chunks (`<note_id>_<i>`).
        file: Where they stand.
        sha256: The file's checksum.
    """

    ids: frozenset[str] = field(repr=False)
    file: str = ""
    sha256: str = ""

    @classmethod
    def read(cls, file: str | Path) -> "HeldOutIds":
        """One id a line, or a JSON list; plain or gzipped.

        Raises:
            TrainingError: The file is missing (in the authors' code nothing was held out then),
                cannot be read, or names no id.
        """
        path = Path(file)
        with opened(path, error=TrainingError) as stream:
            text = stream.read().strip()
        ids = _listed(text, path) if text.startswith("[") else _lines(text)
        if not ids:
            raise TrainingError(f"{path} names no held-out id: leave it out if nothing is held out")
        return cls(ids, str(path), checksum(path))

    def match(self, idx: str) -> str | None:
        """The id that holds this example out: its own, or its note's."""
        note = idx.rpartition("_")[0]
        return next((one for one in (idx, note) if one and one in self.ids), None)


def _listed(text: str, path: Path) -> frozenset[str]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise TrainingError(f"{path} begins like a JSON list and is none: one id a line?") from None
    if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in values):
        raise TrainingError(f"{path} lists what is no id: ids are strings or whole numbers")
    return frozenset(str(value).strip() for value in values) - {""}


def _lines(text: str) -> frozenset[str]:
    return frozenset(line.strip() for line in text.splitlines()) - {""}
