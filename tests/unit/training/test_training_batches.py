"""Batches: every text once, rows that point to it, and what is no negative."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from drehr_rag.errors import TrainingError
from drehr_rag.training.batches import collate
from drehr_rag.training.examples import Example
from drehr_rag.training.masking import false_negatives, text_key


def example(idx, entities, *, text=None, concepts=None, negatives=()):
    return Example(
        idx=idx,
        text=text or f"chunk {idx}",
        entities=tuple(entities),
        concepts=concepts if concepts is None else tuple(concepts),
        negatives=tuple(negatives),
    )


def texts(batch, rows):
    return [batch.entities[row] for row in rows]


def masked(batch):
    """(anchor's id, entity) of what is masked beside the anchor's own positives."""
    found = false_negatives(batch.places.keys, len(batch.ids))
    own = {(i, column) for i, row in enumerate(batch.places.positives) for column in row.tolist()}
    return {
        (batch.ids[i], batch.entities[column])
        for i, column in np.argwhere(found).tolist()
        if (i, column) not in own
    }


def test_every_text_is_there_once():
    batch = collate(
        [
            example("1", ["CHF", "gout"]),
            example("2", ["gout"]),
            example("3", "abc", text="chunk 1"),
        ],
        positives=3,
    )
    assert batch.ids == ("1", "2", "3")
    assert batch.passages == ("chunk 1", "chunk 2")
    assert batch.places.anchors.tolist() == [0, 1, 0]
    assert batch.entities == ("CHF", "gout", "a", "b", "c")
    assert texts(batch, batch.places.positives[0]) == ["CHF", "gout", "CHF"]
    assert texts(batch, batch.places.positives[1]) == ["gout"] * 3
    assert batch.places.positives.dtype == np.int64


def test_only_sampled_entities_are_encoded():
    batch = collate([example("1", [f"e{i}" for i in range(50)])], positives=4, seed=3)
    assert len(batch.entities) == 4


def test_repr_hides_the_texts():
    assert repr(collate([example("1", ["gout"])], positives=1)) == "Batch(ids=('1',))"


def test_nothing_to_collate():
    with pytest.raises(TrainingError, match="a batch of 0 examples"):
        collate([], positives=4)
    with pytest.raises(TrainingError, match="0 positives"):
        collate([example("1", ["a"])], positives=0)


def as_lists(batch):
    return batch.entities, batch.places.positives.tolist(), batch.places.keys.own.tolist()


def test_another_process_makes_the_same_batch():
    """Strings hash differently there; the batch must not depend on it, nor on who makes it."""
    examples = [example(str(i), [f"e{j}" for j in range(40)]) for i in range(6)]
    make = partial(collate, positives=4, seed=1, epoch=2)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert as_lists(pool.submit(make, examples).result()) == as_lists(make(examples))
    alone = [make([one]) for one in examples]
    together = make(examples)
    for row, one in zip(together.places.positives, alone, strict=True):
        assert texts(together, row) == texts(one, one.places.positives[0])


def test_a_shared_entity_is_no_negative():
    batch = collate([example("1", ["CHF", "a"]), example("2", ["CHF", "b"])], positives=2)
    found = false_negatives(batch.places.keys, 2)
    assert found[:, batch.entities.index("CHF")].all()
    assert masked(batch) == set()  # it is a positive of both: its column is masked for both
    assert found.sum() == 4


def test_texts_are_compared_without_case_width_and_spaces():
    batch = collate(
        [example("1", ["Heart  Failure"]), example("2", ["heart failure"])], positives=1
    )
    assert masked(batch) == {("1", "heart failure"), ("2", "Heart  Failure")}
    assert text_key("β２ agonist") == text_key(" Β2  AGONIST ") != text_key("b2 agonist")


def test_concepts_are_compared_where_there_are_some():
    one = example("1", ["CHF", "x"], concepts=["C18802", None])
    two = example("2", ["heart failure", "y"], concepts=["C18802", "C9"])
    three = example("3", ["cardiac failure"])
    batch = collate([one, two, three], positives=2)
    assert masked(batch) == {("1", "heart failure"), ("2", "CHF")}


def test_what_was_not_sampled_is_no_negative_either():
    many = example("1", [f"e{i}" for i in range(9)], concepts=[f"C{i}" for i in range(9)])
    others = example("2", ["E8", "seven", "z"], concepts=[None, "C7", "C99"])
    batch = collate([many, others], positives=3, seed=0)
    assert {("1", "E8"), ("1", "seven")} <= masked(batch)
    assert ("1", "z") not in masked(batch)


def test_one_text_with_two_concepts_counts_as_both():
    sclerosis = example("1", ["MS"], concepts=["C1"])
    stenosis = example("2", ["MS"], concepts=["C2"])
    third = example("3", ["mitral stenosis"], concepts=["C2"])
    batch = collate([sclerosis, stenosis, third], positives=1)
    assert masked(batch) == {("2", "mitral stenosis"), ("3", "MS")}


def test_a_concept_is_no_text():
    batch = collate([example("1", ["a"], concepts=["C1"]), example("2", ["C1"])], positives=1)
    assert masked(batch) == set()


def test_hard_negatives_belong_to_their_chunk():
    one = example("1", ["CHF"], negatives=["gout", "gout", "chf", "fever"])
    batch = collate([one, example("2", ["gout"])], positives=1)
    pairs = [(batch.ids[i], batch.entities[column]) for i, column in batch.places.hard]
    assert pairs == [("1", "gout"), ("1", "fever")]  # "chf" is its own after all
    assert batch.entities == ("CHF", "gout", "fever")
    assert collate([example("2", ["gout"])], positives=1).places.hard.shape == (0, 2)
