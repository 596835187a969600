"""Hard negatives from an index or encoder: entities that it wrongly finds a chunk by.

```text
entities of all examples ── index, encoder ──► chunks that each finds, less those that have it
```

Entities that a chunk only negates are hard negatives too; whoever builds the examples knows them
and puts them into `negatives`, where they stay.
"""

from collections.abc import Callable, Sequence

import numpy as np

from drehr_rag.index import EhrIndex
from drehr_rag.protocols import Encoder
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import concept_key, text_key
from drehr_rag.types import Mode, Scope

Ranking = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Entities to the texts of the chunks that each finds, best first."""

BLOCK = 1024
"""Entities that are compared with all chunks at a time: this bounds memory."""

Told = Callable[[int, int], object]
"""Is told how many texts are encoded, and of how many."""


def ranking_of(index: EhrIndex, *, scope: Scope, depth: int = 20, mode: Mode = "dense") -> Ranking:
    """What an index finds; its chunks are matched with the examples by their text.

    Args:
        index: Made of the chunks that the examples were made of.
        scope: Whose notes; the training's own.
        depth: Chunks for each entity.
        mode: As in `EhrIndex.search`.
    """

    def found(entities: Sequence[str]) -> list[list[str]]:
        hits = index.search_batch(entities, scope=scope, k=depth, mode=mode, assertion="any")
        return [[hit.chunk.text for hit in some] for some in hits]

    return found


def ranking_by(
    encoder: Encoder, examples: Sequence[Example], *, depth: int = 20, told: Told | None = None
) -> Ranking:
    """What an encoder finds among the examples' own chunks, exactly.

    Args:
        encoder: Best the one that is to be trained.
        examples: Whose texts are the chunks.
        depth: Chunks for each entity.
        told: As the chunks, then the entities are encoded.
    """
    texts = list(dict.fromkeys(one.text for one in examples))
    parts = []
    for start in range(0, len(texts), BLOCK):
        parts.append(encoder.encode_passages(texts[start : start + BLOCK]))
        if told:
            told(min(start + BLOCK, len(texts)), len(texts))
    passages = np.concatenate(parts)

    def found(entities: Sequence[str]) -> list[list[str]]:
        every = []
        for start in range(0, len(entities), BLOCK):
            vectors = encoder.encode_queries(entities[start : start + BLOCK])
            best = np.argsort(-(vectors @ passages.T), axis=1, kind="stable")[:, :depth]
            every += [[texts[place] for place in row] for row in best.tolist()]
            if told:
                told(len(texts) + len(every), len(texts) + len(entities))
        return every

    return found


def with_hard_negatives(
    examples: Sequence[Example], ranking: Ranking, *, most: int = 8
) -> list[Example]:
    """The examples with the entities that find them and are not theirs.

    An entity is a chunk's own if one of the chunk's has the same normalised text, or a concept that
    it has anywhere in the examples. A chunk takes first the entities that rank it highest.

    Args:
        examples: All that is searched; an entity that an example lacks by mistake would become
            a false negative.
        ranking: What is found by an entity; see `ranking_of` and `ranking_by`.
        most: Hard negatives of each chunk, those that it has already included.
    """
    keys = _keys(examples)
    owned = [set().union(*(keys[entity] for entity in one.entities)) for one in examples]
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(examples):
        rows.setdefault(example.text, []).append(row)
    wrong: list[list[tuple[int, str]]] = [[] for _ in examples]
    for entity, texts in zip(keys, ranking(list(keys)), strict=True):
        for rank, text in enumerate(texts):
            for row in rows.get(text, ()):
                if not keys[entity] & owned[row]:
                    wrong[row].append((rank, entity))
    return [_with(one, sorted(some), most) for one, some in zip(examples, wrong, strict=True)]


def _keys(examples: Sequence[Example]) -> dict[str, set[int]]:
    """What each entity is compared by: its text, and all concepts that it has somewhere."""
    keys: dict[str, set[int]] = {}
    for example in examples:
        for entity, concept in zip(example.entities, _concepts(example), strict=True):
            known = keys.setdefault(entity, {text_key(entity)})
            if concept:
                known.add(concept_key(concept))
    return keys


def _concepts(example: Example) -> tuple[str | None, ...]:
    return example.concepts or (None,) * len(example.entities)


def _with(example: Example, wrong: Sequence[tuple[int, str]], most: int) -> Example:
    names = dict.fromkeys([*example.negatives, *(entity for _, entity in wrong)])
    chosen = tuple(names)[: max(most, len(example.negatives))]
    return example.model_copy(update={"negatives": chosen})
