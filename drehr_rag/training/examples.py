"""Training examples: a chunk and the entities it should be found by, as JSON Lines.

```json
{"idx": "<note_id>_<i>", "text": "…", "entities": ["…"], "concepts": ["C0018099", null]}
```

`idx`, `text` and `entities` are the authors' record (PAPER.md §1); `concepts` and `negatives` are
ours, and left out where there are none.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drehr_rag._files import written
from drehr_rag.errors import NoteError, TrainingError
from drehr_rag.notes.readers._fields import id_or_none
from drehr_rag.notes.readers._open import byte_lines
from drehr_rag.types import Id, Reject


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("holds no text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair") from None
    return text


Text = Annotated[str, AfterValidator(_some_text)]


class Example(BaseModel):
    """One chunk and its positives.

    Attributes:
        idx: Its name, `<note_id>_<i>`; what errors name it by.
        text: The chunk.
        entities: Its positives, at least one.
        concepts: The concept of each entity, None where unknown; or None for all of them.
        negatives: Entities that it might be taken to be about and is not: those it only negates,
            those an index wrongly finds it by. They are hard negatives of this chunk alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    idx: Id
    text: Text = Field(repr=False)
    entities: tuple[Text, ...] = Field(repr=False)
    concepts: tuple[Text | None, ...] | None = Field(default=None, repr=False)
    negatives: tuple[Text, ...] = Field(default=(), repr=False)

    @model_validator(mode="after")
    def _fits(self) -> "Example":
        if not self.entities:
            raise ValueError("entities are empty: nothing to train on")
        if self.concepts is not None and len(self.concepts) != len(self.entities):
            raise ValueError(f"{len(self.concepts)} concepts for {len(self.entities)} entities")
        return self

    def sample(self, n: int, *, seed: int, epoch: int) -> list[int]:
        """Places of n positives in `entities` for one visit.

        Fewer than n: the list is repeated up to n. More: drawn afresh at each visit (PAPER.md §1),
        without repetition, the same for the same seed, epoch and `idx` whoever draws.
        """
        places = range(len(self.entities))
        if len(places) > n:
            return random.Random(f"{seed}/{epoch}/{self.idx}").sample(places, n)
        return [place % len(places) for place in range(n)]


def read_examples(
    file: str | Path, *, on_reject: Callable[[Reject], object] | None = None
) -> Iterator[Example]:
    """Each line as an example, as a stream; gzipped or not.

    Args:
        file: JSON Lines; blank lines are passed over.
        on_reject: Is given each line that cannot be used (its number and why, never its text),
            e.g. the `append` of a list that counts them; without it the first one is an error.

    Raises:
        TrainingError: The file cannot be read, or a line cannot be used.
    """
    try:
        for number, line in byte_lines(Path(file)):
            if not line.strip():
                continue
            read = example_of(line, str(file), number)
            if isinstance(read, Example):
                yield read
            elif on_reject is None:
                raise TrainingError(f"{file}:{number}: {read.reason}")
            else:
                on_reject(read)
    except NoteError as problem:
        raise TrainingError(str(problem)) from None


def write_examples(file: str | Path, examples: Iterable[Example]) -> int:
    """Write them, gzipped if the name ends in .gz; whole or not at all. Returns how many.

    Raises:
        TrainingError: The file cannot be written.
    """
    count = 0
    with written(Path(file), error=TrainingError) as stream:
        for example in examples:
            row = example.model_dump(exclude_defaults=True)
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def example_of(line: bytes, file: str, number: int) -> Example | Reject:
    """A line as an example, or why it cannot be one."""
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        return Reject(file, number, "bytes that are not UTF-8")
    except (ValueError, RecursionError):
        return Reject(file, number, "broken JSON")
    if not isinstance(row, dict):
        return Reject(file, number, "not a JSON object")
    try:
        return Example.model_validate({name: _frozen(value) for name, value in row.items()})
    except ValidationError as problem:
        error = problem.errors(include_input=False, include_context=False, include_url=False)[0]
        return Reject(file, number, _reason(error["loc"], error["msg"]), id_or_none(row.get("idx")))


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _reason(place: Sequence[int | str], what: str) -> str:
    where = f"{place[0]}[{place[1]}]" if len(place) > 1 else "".join(map(str, place))
    return f"{where} {what.removeprefix('Value error, ')}".strip()
