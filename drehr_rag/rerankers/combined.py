"""A weighted sum of what is known of a hit anyway: no model reads anything.

The weights stand in `combined.json`, learnt from training parts alone (docs/reranking.md):

```text
python -m benchmarks.combiner WORK train
```
"""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import numpy as np

from drehr_rag._arguments import number
from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.notes.folding import Folds
from drehr_rag.notes.sections import canonical
from drehr_rag.protocols import Encoder
from drehr_rag.rerankers._signals import NAMES, signals
from drehr_rag.types import Chunk, Hit


@cache
def learnt() -> Mapping[str, float]:
    """The weights that the package ships; they sum to 1."""
    table = json.loads((files(__package__) / "combined.json").read_text("utf-8"))
    weights: dict[str, float] = table["weights"]
    return weights


def load(
    model: str | None = None,
    *,
    encoder: Encoder | None = None,
    weights: Mapping[str, float] | None = None,
    recency: float = 0.0,
    sections: Mapping[str, float] | None = None,
) -> "Combined":
    """The weighted sum with the weights that were learnt, or others.

    Args:
        model: There is none.
        encoder: Not needed.
        weights: Of signals (docs/reranking.md), from 0 up, beside those learnt, which sum to 1;
            those not given stay as they are.
        recency: What the newest note among the hits gains over the oldest. Not learnt, since the
            notes to learn from carry no times: 0 unless you say otherwise.
        sections: What a hit under a heading gains. Not learnt either.

    Raises:
        BadArgument: A model was named, or a weight is no number from 0 up.
        UnknownName: There is no such signal.
    """
    if model:
        raise BadArgument(f"combined has no model to load, not {model!r}: give it weights")
    given = _checked(weights or {}, "weights", "the weight of")
    if wrong := [name for name in given if name not in NAMES]:
        close = get_close_matches(str(wrong[0]), NAMES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownName(f"no signal is called {wrong[0]!r}: there are {', '.join(NAMES)}.{hint}")
    gains = _checked(sections or {}, "sections", "the gain of section")
    number(recency, "recency", 0)
    if recency and "recency" in given:
        raise BadArgument("recency is given twice: alone, and among the weights")
    return Combined(
        {**learnt(), "recency": recency, **given},
        {canonical(str(name)): gain for name, gain in gains.items()},
    )


def _checked(given: object, what: str, one: str) -> Mapping[str, float]:
    if not isinstance(given, Mapping):
        raise BadArgument(f"{what} are a number by name, not {type(given).__name__}")
    for name, value in given.items():
        number(value, f"{one} {name}", 0)
    return given


class Combined:
    """Scores hits by what the search tells of them and the words of their chunks.

    Args:
        weights: By signal, none below 0.
        sections: What a hit gains by the usual name of its heading.
    """

    name = "combined"
    depth = 50
    share = 1.0

    def __init__(
        self, weights: Mapping[str, float], sections: Mapping[str, float] | None = None
    ) -> None:
        """Keep the weights."""
        self._weights = {name: weight for name, weight in weights.items() if weight}
        self._sections = dict(sections or {})
        self._folds = Folds()

    def score_hits(self, query: str, hits: Sequence[Hit]) -> list[float]:
        """One score a hit, from 0; signals that a base does not tell count nothing."""
        known = signals(query, hits, self._folds)
        total = np.zeros(len(hits))
        for name, weight in self._weights.items():
            total += weight * known[name]
        total += [self._sections.get(hit.chunk.section or "", 0.0) for hit in hits]
        return [float(score) for score in total]

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score a text, by its words alone."""
        bare = (Chunk("", "", None, 0, len(text), text=text, source=text) for text in texts)
        return self.score_hits(query, [Hit(chunk, 0.0) for chunk in bare])
