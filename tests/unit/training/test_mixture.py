"""Which examples stand in which batch: nothing is left out, and everything is the same again."""

from collections import Counter
from dataclasses import replace

import pytest
from unit.training.training_examples import make_examples

from drehr_rag.errors import TrainingError
from drehr_rag.training.mixture import Mixture, Source
from drehr_rag.training.settings import Settings

SETTINGS = Settings(batch=4, positives=2, epochs=2)


def named(count, prefix):
    return [
        one.model_copy(update={"idx": f"{prefix}{i}"}) for i, one in enumerate(make_examples(count))
    ]


def ids(mixture):
    return [batch.ids for batch in (mixture[step] for step in range(len(mixture)))]


def test_every_example_once_in_a_pass():
    mixture = Mixture([Source(named(20, "a"))], SETTINGS)
    assert len(mixture) == 10
    seen = [name for some in ids(mixture) for name in some]
    first, second = seen[:20], seen[20:]
    assert set(first) == set(second) == {f"a{i}" for i in range(20)}
    assert first != second


def test_passes_follow_each_other_without_a_gap():
    mixture = Mixture([Source(named(6, "a"))], replace(SETTINGS, epochs=4))
    assert Counter(name for some in ids(mixture) for name in some) == {f"a{i}": 4 for i in range(6)}


def test_any_step_is_the_same_whatever_was_asked_before():
    sources = [Source(named(30, "a")), Source(named(9, "b"), 0.5)]
    whole, again = Mixture(sources, SETTINGS), Mixture(sources, SETTINGS)
    for step in (7, 2, 12):
        one, other = whole[step], again[step]
        assert (one.ids, one.entities) == (other.ids, other.entities)
        assert (one.places.positives == other.places.positives).all()
    assert ids(whole) != ids(Mixture(sources, replace(SETTINGS, seed=1)))


def test_weights_are_shares_of_the_visits():
    sources = [Source(named(40, "a")), Source(named(40, "b"), 0.5), Source(named(8, "c"), 3.0)]
    found = ids(Mixture(sources, replace(SETTINGS, epochs=5)))
    count = Counter(some[0][0] for some in found)
    assert count == {"a": 50, "b": 25, "c": 30}
    firsts = [some[0][0] for some in found[:21]]
    assert Counter(firsts) == {"a": 10, "b": 5, "c": 6}  # at any time, not only in the end


def test_grouped_batches_are_of_one_file_and_others_are_not():
    sources = [Source(named(40, "a")), Source(named(40, "b"))]
    grouped = ids(Mixture(sources, SETTINGS))
    assert all(len({name[0] for name in some}) == 1 for some in grouped)
    mixed = ids(Mixture(sources, replace(SETTINGS, grouped=False)))
    assert all(Counter(name[0] for name in some) == {"a": 2, "b": 2} for some in mixed)


@pytest.mark.parametrize("grouped", [True, False])
def test_processes_share_out_the_batch_of_one(grouped):
    sources = [Source(named(30, "a")), Source(named(17, "b"))]
    settings = replace(SETTINGS, grouped=grouped, steps=9)
    whole = ids(Mixture(sources, replace(settings, batch=8)))
    parts = [ids(Mixture(sources, settings, rank=rank, world=2)) for rank in (0, 1)]
    assert [one + other for one, other in zip(*parts, strict=True)] == whole


def test_positives_are_drawn_afresh_at_each_visit():
    long = named(1, "a")[0].model_copy(update={"entities": tuple(f"e{i}" for i in range(50))})
    mixture = Mixture([Source([long])], replace(SETTINGS, batch=1, positives=5, steps=4))
    drawn = [mixture[step].entities for step in range(4)]
    assert len(set(drawn)) == 4


def test_steps_in_place_of_epochs_and_never_none():
    assert len(Mixture([Source(named(3, "a"))], replace(SETTINGS, steps=7))) == 7
    tiny = Mixture([Source(named(1, "a"), 0.1)], replace(SETTINGS, epochs=0.1))
    assert [len(some) for some in ids(tiny)] == [4]


def test_a_small_file_has_its_batch_among_large_ones():
    small = [Source(named(1, "b")), Source(named(2, "c"), 0.01)]
    sources = [Source(named(90, "a")), *small]
    for options in ({}, {"steps": 3}, {"steps": 4}, {"epochs": 0.01}):
        found = ids(Mixture(sources, replace(SETTINGS, **options)))
        count = Counter(some[0][0] for some in found)
        assert (count["b"], count["c"]) == (1, 1)
        assert count["a"] == len(found) - 2
    with pytest.raises(TrainingError, match="2 batches cannot visit 3 files"):
        Mixture(sources, replace(SETTINGS, steps=2))
    mixed = ids(Mixture(sources, replace(SETTINGS, steps=2, grouped=False)))
    assert {name[0] for some in mixed for name in some} == {"a", "b", "c"}


def test_what_cannot_be_meant():
    with pytest.raises(TrainingError, match="weight is 0"):
        Source(named(1, "a"), 0)
    with pytest.raises(TrainingError, match="weight is nan"):
        Source(named(1, "a"), float("nan"))
    with pytest.raises(TrainingError, match="no example"):
        Source([])
    with pytest.raises(TrainingError, match="at least one file"):
        Mixture([], SETTINGS)
