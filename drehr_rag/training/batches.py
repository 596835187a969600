"""Examples to a batch: every passage and every entity text once, and rows that point to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drehr_rag.errors import TrainingError
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import Ints, Keys, keys_of, pairs, text_key


@dataclass(frozen=True, slots=True)
class Places:
    """How passages and entities belong together; B anchors with n positives each.

    Attributes:
        anchors: The passage of each anchor, (B,).
        positives: The entities of each anchor, (B, n), with repetition.
        hard: (anchor, entity) of further negatives of that anchor alone, (H, 2).
        keys: What false negatives are found by.
    """

    anchors: Ints
    positives: Ints
    hard: Ints
    keys: Keys


@dataclass(frozen=True, slots=True)
class Batch:
    """What is encoded, each text once, and what belongs to what.

    Attributes:
        ids: `idx` of each anchor's example, (B).
        passages: Texts of the chunks, (P).
        entities: Texts of the entities, (U).
        places: Rows of `passages` and `entities`.
    """

    ids: tuple[str, ...]
    passages: tuple[str, ...] = field(repr=False)
    entities: tuple[str, ...] = field(repr=False)
    places: Places = field(repr=False)


def collate(
    examples: Sequence[Example], *, positives: int, seed: int = 0, epoch: int | Sequence[int] = 0
) -> Batch:
    """Make a batch; the same examples, seed and epoch give the same batch in any worker.

    Args:
        examples: At least one.
        positives: How many of each example's entities, n; see `Example.sample`.
        seed: Of the sampling.
        epoch: The number of the visit; or of each example's.

    Raises:
        TrainingError: There are no examples, or n is below 1.
    """
    if not examples or positives < 1:
        raise TrainingError(
            f"a batch of {len(examples)} examples with {positives} positives each: both must be "
            "at least 1"
        )
    visits = [epoch] * len(examples) if isinstance(epoch, int) else epoch
    passages, entities = _Rows(), _Rows()
    anchors = [passages.row(example.text) for example in examples]
    drawn = [
        [entities.row(one.entities[p]) for p in one.sample(positives, seed=seed, epoch=visit)]
        for one, visit in zip(examples, visits, strict=True)
    ]
    hard = [(i, entities.row(text)) for i, one in enumerate(examples) for text in _foreign(one)]
    places = Places(
        anchors=np.array(anchors, np.int64),
        positives=np.array(drawn, np.int64),
        hard=pairs(hard),
        keys=keys_of(examples, entities),
    )
    return Batch(tuple(one.idx for one in examples), tuple(passages), tuple(entities), places)


class _Rows(dict[str, int]):
    """Texts in order of their first sight, each with its row."""

    def row(self, text: str) -> int:
        return self.setdefault(text, len(self))


def _foreign(example: Example) -> list[str]:
    """Its hard negatives, each once, without those that are among its own entities after all."""
    own = {text_key(entity) for entity in example.entities} if example.negatives else set()
    return [text for text in dict.fromkeys(example.negatives) if text_key(text) not in own]
