"""Turn a row of any source into a note, by the user's names for its columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from drehr_rag.errors import UnknownName
from drehr_rag.types import Note, Reject, as_id

FIELDS = tuple(Note.model_fields)

LONGEST_ID = 128
"""Characters of an id that is put into a message; longer ones may be a note's text."""


@dataclass(frozen=True)
class Fields:
    """Which column holds which field of a note.

    Attributes:
        columns: Note field → the source's column, e.g. `{"patient_id": "subject_id"}`.
        constants: Note field → a value for every row, e.g. `{"note_type": "Report"}`.
        metadata: Further columns to keep in `Note.metadata`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that no note has."""
        for name in (*self.columns, *self.constants):
            if name not in FIELDS:
                raise UnknownName(f"a note has no field {name!r}: it has {', '.join(FIELDS)}")

    def with_defaults(self, columns: Mapping[str, str], **constants: str) -> "Fields":
        """The same, where the user said nothing about a field."""
        return Fields({**columns, **self.columns}, {**constants, **self.constants}, self.metadata)

    def lowered(self) -> "Fields":
        """The same with column names in lower case."""
        columns = {name: column.lower() for name, column in self.columns.items()}
        kept = tuple(name.lower() for name in self.metadata)
        return replace(self, columns=columns, metadata=kept)

    def note(self, row: Mapping[str, Any], *, file: str, line: int | None) -> Note | Reject:
        """The row as a note, or a `Reject` that names the field and what is wrong with it."""
        values: dict[str, Any] = dict(self.constants)
        for name in FIELDS:
            column = self.columns.get(name, name)
            if name not in self.constants and row.get(column) is not None:
                values[name] = row[column]
        if self.metadata:
            kept = {name: row[name] for name in self.metadata if row.get(name) is not None}
            own = values.get("metadata", {})
            values["metadata"] = {**own, **kept} if isinstance(own, Mapping) else own
        return self.validated(values, file=file, line=line)

    def validated(self, values: Mapping[str, Any], *, file: str, line: int | None) -> Note | Reject:
        """A note from its own fields' values, or a `Reject`."""
        try:
            return Note.model_validate(values).read_from(file, line)
        except ValidationError as problem:
            error = problem.errors(include_input=False, include_context=False)[0]
            name = str(error["loc"][0])
            what = error["msg"].removeprefix("Value error, ")
            source = self.columns.get(name, name)
            said = f" (from {source!r})" if source != name else ""
            missing = error["type"] == "missing"
            reason = f"{name}{said} {'is missing' if missing else what}"
            empty = name == "text" and (missing or not str(values["text"] or "").strip())
            return Reject(
                file,
                line,
                reason,
                None if name == "note_id" else id_or_none(values.get("note_id")),
                id_or_none(values.get("patient_id")),
                retracted=empty,
            )


def id_or_none(value: object) -> str | None:
    """The value if it may be shown as an id: text in a mapped column by mistake is not."""
    try:
        text = as_id(value)
    except ValueError:
        return None
    return text if len(text) <= LONGEST_ID and not any(c.isspace() for c in text) else None
