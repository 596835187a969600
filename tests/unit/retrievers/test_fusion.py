"""Two rankings become one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.retrievers._fusion import DENSE_SHARE, reciprocal_ranks, relative_scores
from drehr_rag.types import Ranked


def hit(name, score):
    return Ranked(name, score)


def ranking(scores):
    """Best first."""
    return [hit(name, score) for name, score in sorted(scores.items(), key=lambda p: -p[1])]


def totals(hits):
    return {h.chunk_id: h.score for h in hits}


def order(hits):
    return [h.chunk_id for h in hits]


NAMES = st.sampled_from("abcdefghij")
DENSE = st.dictionaries(NAMES, st.floats(-1, 1, allow_subnormal=False))
LEXICAL = st.dictionaries(NAMES, st.floats(0, 50, allow_subnormal=False))
FUSIONS = [reciprocal_ranks, relative_scores]


def test_reciprocal_ranks_by_hand():
    dense = ranking({"a": 0.9, "b": 0.8, "c": 0.7})
    lexical = ranking({"c": 12.0, "a": 3.0, "d": 1.0})
    fused = reciprocal_ranks({"dense": dense, "lexical": lexical})
    assert order(fused) == ["a", "c", "b", "d"]
    # a: 1/61 + 1/62; c: 1/63 + 1/61; b: 1/62; d: 1/63
    expected = [0.0325224748810153, 0.0322664584959667, 0.0161290322580645, 0.0158730158730158]
    assert [h.score for h in fused] == pytest.approx(expected, rel=1e-12)
    assert fused[0].scores == {"dense": 0.9, "lexical": 3.0}
    assert fused[3].scores == {"lexical": 1.0}


@given(DENSE, LEXICAL)
def test_reciprocal_ranks_against_a_naive_version(dense, lexical):
    sides = [order(ranking(dense)), order(ranking(lexical))]
    naive = {
        name: sum(1 / (61 + side.index(name)) for side in sides if name in side)
        for name in {*dense, *lexical}
    }
    fused = reciprocal_ranks({"dense": ranking(dense), "lexical": ranking(lexical)})
    assert totals(fused) == pytest.approx(naive)
    assert order(fused) == sorted(naive, key=lambda name: (-totals(fused)[name], name))


def test_relative_scores_by_hand():
    dense = ranking({"a": 0.9, "b": 0.7, "c": 0.5})
    lexical = ranking({"c": 10.0, "b": 5.0})
    fused = totals(relative_scores({"dense": dense, "lexical": lexical}))
    assert fused == pytest.approx({"a": 0.3, "b": 0.3 * 0.5 + 0.7 * 0.5, "c": 0.7})


@given(DENSE, LEXICAL)
def test_relative_scores_lie_between_zero_and_one(dense, lexical):
    fused = relative_scores({"dense": ranking(dense), "lexical": ranking(lexical)})
    assert all(-1e-9 <= h.score <= 1 + 1e-9 for h in fused)


@pytest.mark.parametrize("fusion", FUSIONS)
@given(dense=DENSE, lexical=LEXICAL)
def test_every_hit_comes_back_once_best_first(fusion, dense, lexical):
    fused = fusion({"dense": ranking(dense), "lexical": ranking(lexical)})
    assert sorted(order(fused)) == sorted({*dense, *lexical})
    assert [h.score for h in fused] == sorted((h.score for h in fused), reverse=True)
    for h in fused:
        name = h.chunk_id
        sides = {"dense": dense, "lexical": lexical}
        assert h.scores == {stage: side[name] for stage, side in sides.items() if name in side}


@given(DENSE, LEXICAL)
def test_what_is_better_on_both_sides_is_not_placed_behind(dense, lexical):
    fused = totals(relative_scores({"dense": ranking(dense), "lexical": ranking(lexical)}))
    both = sorted({*dense} & {*lexical})
    for a in both:
        for b in both:
            if dense[a] >= dense[b] and lexical[a] >= lexical[b]:
                assert fused[a] >= fused[b]


@pytest.mark.parametrize("fusion", FUSIONS)
@given(scores=LEXICAL)
def test_with_one_side_empty_the_other_keeps_its_order(fusion, scores):
    for stages in [("dense", "lexical"), ("lexical", "dense")]:
        side = ranking(scores)
        fused = fusion({stages[0]: side, stages[1]: []})
        place = {name: i for i, name in enumerate(order(fused))}
        for better in side:
            for worse in side:
                if better.score > worse.score and fusion is reciprocal_ranks:
                    assert place[better.chunk_id] < place[worse.chunk_id]
                elif better.score > worse.score:
                    assert totals(fused)[better.chunk_id] >= totals(fused)[worse.chunk_id]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_nothing_found_is_nothing(fusion):
    assert fusion({"dense": [], "lexical": []}) == []


def test_equal_scores_are_no_division_by_zero():
    dense = [hit("a", 0.5), hit("b", 0.5)]
    lexical = [hit("b", 0.0)]
    fused = relative_scores({"dense": dense, "lexical": lexical})
    assert totals(fused) == {"a": 0.0, "b": 0.0}
    assert order(fused) == ["a", "b"]


def test_the_share_of_the_dense_side():
    fused = relative_scores({"dense": ranking({"a": 0.4, "b": 0.1}), "lexical": []})
    assert totals(fused) == pytest.approx({"a": DENSE_SHARE, "b": 0.0})


def test_the_dense_share_can_be_chosen():
    dense, lexical = ranking({"a": 0.9, "b": 0.5}), ranking({"b": 10.0, "a": 5.0})
    rankings = {"dense": dense, "lexical": lexical}
    assert totals(relative_scores(rankings, dense_share=1.0)) == pytest.approx({"a": 1, "b": 0})
    assert totals(relative_scores(rankings, dense_share=0.0)) == pytest.approx({"a": 0.5, "b": 1})
    assert relative_scores(rankings, dense_share=DENSE_SHARE) == relative_scores(rankings)


def test_a_weak_best_is_not_lifted_to_the_top():
    dense, weak, good = ranking({"a": 0.9, "b": 0.5}), ranking({"b": 0.1}), ranking({"b": 0.8})
    alone = relative_scores({"dense": dense, "lexical": weak}, least=0.5)
    assert totals(alone) == pytest.approx({"a": 0.3, "b": 0.7 * 0.1 / 0.5})
    usual = relative_scores({"dense": dense, "lexical": good})
    assert relative_scores({"dense": dense, "lexical": good}, least=0.5) == usual
