"""Which examples stand in which batch: files mixed by weight, the same for the same seed.

A file's examples are shuffled again for each pass, and passes follow each other without a gap: no
example is left out or visited twice in a pass. A file of weight 0.5 takes two epochs for one pass.
Batches, or with `grouped=False` examples, of the files take turns as evenly as their shares allow;
each file has at least one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drehr_rag.errors import TrainingError
from drehr_rag.training.batches import Batch, collate
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import Ints
from drehr_rag.training.settings import Settings


@dataclass(frozen=True)
class Source:
    """Examples and how often they are visited in an epoch."""

    examples: Sequence[Example]
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not self.examples:
            raise TrainingError("there is no example: nothing to train on")
        if not 0 < self.weight < float("inf"):
            raise TrainingError(f"a file's weight is {self.weight}: it must be a number above 0")


class Mixture(Sequence[Batch]):
    """The batches of a training in order; any one can be made without those before it.

    Args:
        sources: At least one.
        settings: `batch`, `positives`, `epochs` or `steps`, `grouped` and `seed` count.
        rank: This process's number.
        world: Of so many processes; each has its own part of a step.

    Raises:
        TrainingError: There are no sources, or more than batches.
    """

    def __init__(
        self, sources: Sequence[Source], settings: Settings, *, rank: int = 0, world: int = 1
    ) -> None:
        """Nothing is read yet."""
        if not sources:
            raise TrainingError("there are no examples: name at least one file")
        self._sources, self._settings, self._rank = sources, settings, rank
        self._whole = settings.batch * world
        shares = np.array([len(one.examples) * one.weight for one in sources])
        epochs = settings.epochs * shares.sum() / self._whole
        least = len(sources) if settings.grouped else 1
        self._steps = settings.steps or max(least, round(float(epochs)))
        self._size = self._whole if settings.grouped else 1  # of what takes turns
        self._turns = _turns(shares, self._steps * self._whole // self._size)
        self._orders: dict[int, tuple[int, Ints]] = {}

    def __len__(self) -> int:
        """How many steps."""
        return self._steps

    def __getitem__(self, step: int) -> Batch:  # type: ignore[override]
        """This process's batch of a step."""
        first = step * self._whole + self._rank * self._settings.batch
        drawn = [self._draw(place) for place in range(first, first + self._settings.batch)]
        return collate(
            [example for example, _ in drawn],
            positives=self._settings.positives,
            seed=self._settings.seed,
            epoch=[visit for _, visit in drawn],
        )

    def _draw(self, place: int) -> tuple[Example, int]:
        """The example at a place of the whole training, and the number of its visit."""
        turn, within = divmod(place, self._size)
        number, before = self._turns[turn].tolist()
        examples = self._sources[number].examples
        visit, at = divmod(before * self._size + within, len(examples))
        return examples[int(self._order(number, visit)[at])], visit

    def _order(self, number: int, visit: int) -> Ints:
        """The shuffled places of a file's pass; that of the last one asked for is kept."""
        if self._orders.get(number, (-1, None))[0] != visit:
            chance = np.random.default_rng([self._settings.seed, number, visit])
            order = chance.permutation(len(self._sources[number].examples))
            self._orders[number] = (visit, order)
        return self._orders[number][1]


def _turns(shares: Ints, count: int) -> Ints:
    """(source, how many turns it had before) of each turn, evenly spread, (count, 2)."""
    places, sources, before = [], [], []
    for number, turns in enumerate(_whole_turns(shares, count)):
        own = np.arange(turns)
        places.append((own + 0.5) / turns)
        sources.append(np.full(len(own), number))
        before.append(own)
    order = np.argsort(np.concatenate(places), kind="stable")
    found: Ints = np.stack([np.concatenate(sources)[order], np.concatenate(before)[order]], 1)
    return found


def _whole_turns(shares: Ints, count: int) -> list[int]:
    """Turns of each source: by its share, the largest remainders rounded up, and at least one.

    Raises:
        TrainingError: There are more sources than turns.
    """
    if count < len(shares):
        raise TrainingError(
            f"{count} batches cannot visit {len(shares)} files: give more steps, or where a batch "
            "is of one file, --set grouped=false"
        )
    exact = shares / shares.sum() * count
    turns = np.maximum(np.floor(exact), 1).astype(int)
    while (left := count - int(turns.sum())) != 0:
        lacking = exact - turns
        if left > 0:
            turns[lacking.argmax()] += 1
        else:
            turns[np.where(turns > 1, lacking, np.inf).argmin()] -= 1
    whole: list[int] = turns.tolist()
    return whole
