"""A label of a note, and where in the note it belongs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from drehr_rag.types import Note

Rule = Literal["span", "note", "written", "mostly"]
"""Which chunks of a note a label goes to:

- `span`: those that hold the stretch of text that was labelled, whole;
- `note`: the label is of the note, stated or implied. If the note is one chunk, that; if it is
  several, those in which it is written word for word, since nobody said where it is implied;
- `written`: those in which it is written word for word, even if there is only one;
- `mostly`: a sentence about the note; those that hold two thirds of its longer words.
"""


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said of a note.

    Attributes:
        text: The entity.
        concept: Its id, if known.
        rule: Which chunks it goes to.
        start: With the rule `span`: offset in the note's text.
        end: Likewise.
    """

    text: str = field(repr=False)
    concept: str | None = None
    rule: Rule = "note"
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class LabelledNote:
    """A note and its labels.

    Attributes:
        note: Its text untouched.
        labels: In their order; none is allowed, and counted.
        left_out: Labels that the source has and that are no entity, by reason.
    """

    note: Note
    labels: tuple[Label, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
