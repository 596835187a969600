"""The combiner: signals by hand, weights that sum up, and what cannot be meant."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from conftest import make_chunk
from how_often import tried
from hypothesis import given
from hypothesis import strategies as st
from unit.retrievers.small_graph import small_graph

from benchmarks import combiner
from drehr_rag.errors import BadArgument, UnknownName
from drehr_rag.index import EhrIndex
from drehr_rag.protocols import HitReranker
from drehr_rag.rerankers import load_reranker
from drehr_rag.rerankers._signals import NAMES, of_one_root, signals
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Hit, Match, Note, Patient

NOW = datetime(2180, 5, 7)
ZEROS = dict.fromkeys(NAMES, 0.0)


def hit(number, text="gout", score=1.0, *, scores=None, kinds=(), **fields):
    matches = tuple(Match(f"term {n}", kind, "gout") for n, kind in enumerate(kinds))
    return Hit(make_chunk(number, text=text, **fields), score, scores or {}, matches)


def told(query, *hits):
    return {name: values.tolist() for name, values in signals(query, hits).items()}


def test_signals_by_hand():
    found = told(
        "acute gout",
        hit(0, "Acute gout.", 0.9, scores={"dense": 0.8, "lexical": 4.0, "expanded": 1.0}),
        hit(1, "Gouty toe. Acute pain.", 0.5, scores={"dense": 0.2}, kinds=["synonym"]),
        hit(2, "Acute on chronic gout", 0.1, scores={"lexical": 1.0}, kinds=["hyponym"] * 7),
        hit(3, "No.", 0.3, section="history of gout"),
    )
    assert tuple(found) == NAMES
    assert found["base"] == pytest.approx([1, 0.5, 0, 0.25])
    assert found["dense"] == pytest.approx([1, 0, 0, 0])
    assert found["lexical"] == [1, 0, 0.25, 0]
    assert found["expanded"] == [1, 0, 0, 0]
    assert found["synonym"] == [0, 1, 0, 0] and found["hyponym"] == [0, 0, 1, 0]
    assert found["terms"] == [0, 0.2, 1, 0]
    assert found["mentioned"] == [1, 1, 1, 0]
    assert found["heading"] == [0, 0, 0, 0.5]
    rare, common = np.log1p(4 / 3), np.log1p(4 / 4)  # two hits have "gout", three "acute"
    acute = common / (rare + common)
    assert found["sentence"] == pytest.approx([1, acute, 1, 0])
    assert found["endings"] == pytest.approx([1, 0.5, 1, 0])  # "gouty": three have either


@pytest.mark.parametrize(
    ("one", "other"), [("vomiting", "vomited"), ("dizziness", "dizzy"), ("pruritus", "pruritic")]
)
def test_words_of_one_root(one, other):
    assert of_one_root(one, other) and of_one_root(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("hypertension", "hypertonia"), ("convulsion", "conversion"), ("gut", "gutted"), ("", "a")],
)
def test_words_that_only_begin_alike(one, other):
    assert not of_one_root(one, other) and not of_one_root(other, one)


hits = st.lists(
    st.builds(
        hit,
        st.integers(0, 9),
        st.text(max_size=30).filter(str.strip) | st.sampled_from(["Gout. No gout!", "gouty toe"]),
        st.floats(-1, 1),
        scores=st.dictionaries(st.sampled_from(["dense", "lexical"]), st.floats(0, 9)),
        kinds=st.lists(st.sampled_from(["synonym", "related"]), max_size=6),
        section=st.sampled_from([None, "plan"]),
        written_at=st.none() | st.datetimes() | st.datetimes(timezones=st.just(UTC)),
    ),
    max_size=5,
)


@tried(60)
@given(st.text(max_size=20) | st.just("acute gout"), hits)
def test_every_signal_is_from_0_to_1(query, found):
    for values in signals(query, found).values():
        assert values.shape == (len(found),)
        assert all(0 <= value <= 1 + 1e-9 for value in values)


@tried(30)
@given(hits, st.sampled_from(NAMES))
def test_no_score_falls_by_a_weight(found, name):
    plain = load_reranker("combined").score_hits("acute gout", found)
    more = load_reranker("combined", weights={name: 2.0}).score_hits("acute gout", found)
    assert len(plain) == len(found)
    assert all(b >= a - 1e-9 for a, b in zip(plain, more, strict=True))


def test_the_newest_note_gains_where_that_is_asked_for():
    found = [
        hit(0, written_at=NOW - timedelta(days=100)),
        hit(1, written_at=NOW.replace(tzinfo=UTC)),
        hit(2, written_at=NOW - timedelta(days=25)),
        hit(3),
    ]
    plain = load_reranker("combined").score_hits("gout", found)
    assert len(set(plain)) == 1
    newer = load_reranker("combined", recency=0.2).score_hits("gout", found)
    assert np.subtract(newer, plain) == pytest.approx([0, 0.2, 0.15, 0])
    same = load_reranker("combined", weights={"recency": 0.2}).score_hits("gout", found)
    assert same == newer
    assert told("gout", hit(0), hit(1))["recency"] == [0, 0]
    assert told("gout", hit(0, written_at=NOW), hit(1))["recency"] == [1, 0]


def test_a_hit_gains_by_its_heading():
    found = [hit(0, section="past medical history"), hit(1, section="plan"), hit(2)]
    plain = load_reranker("combined").score_hits("gout", found)
    gained = load_reranker("combined", sections={"PMH": 0.1}).score_hits("gout", found)
    assert np.subtract(gained, plain) == pytest.approx([0.1, 0, 0])


def test_texts_alone_are_told_apart_by_their_words():
    combined = load_reranker("combined")
    assert isinstance(combined, HitReranker)
    scores = combined.score("acute gout", ["the toe", "acute gout", "acute pain"])
    assert scores[1] > scores[2] > scores[0]
    assert combined.score("acute gout", []) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weights": {"dense": -0.1}}, BadArgument, "the weight of dense is a number from 0 up"),
        ({"weights": {"dense": float("nan")}}, BadArgument, "the weight of dense"),
        ({"weights": {"dence": 0.1}}, UnknownName, "Did you mean 'dense'"),
        ({"weights": {3: 0.1}}, UnknownName, "no signal is called 3"),
        ({"weights": "dense"}, BadArgument, "weights are a number by name"),
        ({"sections": ["plan"]}, BadArgument, "sections are a number by name"),
        ({"recency": -1}, BadArgument, "recency is a number from 0 up"),
        ({"recency": "much"}, BadArgument, "recency is a number from 0 up"),
        ({"recency": 0.1, "weights": {"recency": 0.2}}, BadArgument, "given twice"),
        ({"sections": {"plan": -1}}, BadArgument, "the gain of section plan"),
        ({"age": 1}, UnknownName, "takes only weights, recency, sections, not age"),
    ],
)
def test_what_cannot_be_meant(options, error, message):
    with pytest.raises(error, match=message):
        load_reranker("combined", **options)


def test_there_is_no_model_to_name():
    with pytest.raises(BadArgument, match="no model"):
        load_reranker("combined:best")


@pytest.mark.parametrize("base", ["expanded", "hybrid", "dense", "lexical", "rrf"])
def test_an_index_reranks_whatever_searches_first(base):
    texts = ["gout of the toe", "no gout", "toe pain", "podagra", "vomited twice"] * 3
    times = [NOW - timedelta(days=day) for day in range(len(texts))]
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=16)) as index:
        index.add(
            [
                Note(note_id=f"n{i}", patient_id="p", text=f"{text} {i}", written_at=time)
                for i, (text, time) in enumerate(zip(texts, times, strict=True))
            ]
        )
        where = {"scope": Patient("p"), "mode": "reranked", "k": 15}
        before = index.search("gout of toe", **where | {"mode": base})
        index.use_reranker("combined", base=base)
        after = index.search("gout of toe", **where)
        assert {h.chunk.chunk_id for h in after} == {h.chunk.chunk_id for h in before}
        assert all("rerank" in h.scores for h in after)
        assert index.search("gout of toe", **where | {"k": 3}) == after[:3]
        index.use_reranker("combined", base=base, reranker_options={"recency": 1000.0})
        newest = index.search("gout of toe", **where, assertion="any")
        assert [h.chunk.note_id for h in newest] == [f"n{i}" for i in range(len(newest))] or (
            base == "lexical"
        )
        written = [h.chunk.written_at for h in newest]
        assert written == sorted(written, reverse=True)


def test_the_shipped_weights_are_what_the_recipe_writes():
    weights = json.loads(combiner.FILE.read_text("utf-8"))["weights"]
    assert combiner.shipped(weights) == combiner.FILE.read_text("utf-8")
    assert set(weights) <= set(NAMES) - combiner.UNLEARNT
    assert min(weights.values()) > 0 and sum(weights.values()) == pytest.approx(1, abs=0.01)


def test_the_recipe_learns_what_tells_hits_apart_and_nothing_else():
    learnable = [name for name in NAMES if name not in combiner.UNLEARNT]
    rng = np.random.default_rng(0)
    made = []
    for _ in range(20):
        rows = rng.random((12, len(learnable)))
        wanted = rows[:, learnable.index("endings")] > 0.6
        rows[:, learnable.index("lexical")] = 1.0 * ~wanted  # worse is better: may not be learnt
        made.append(combiner.Block("vaers", "all", rows, wanted, int(wanted.sum())))
    weights = combiner.fit(made)
    assert combiner.fit(made) == weights
    assert max(weights, key=weights.get) in ("endings", "base")
    assert weights["endings"] > 5 * weights["dense"] and weights["lexical"] == 0


def test_denials_and_other_match_types_teach_nothing():
    found = [hit(0, "acute gout"), hit(1, "denies acute gout"), hit(2, "no toe"), hit(3, "podagra")]
    made = combiner.blocks("vaers2001", "acute gout", found, {"c0": "string", "c3": "implication"})
    sizes = {one.match: (len(one.signals), int(one.wanted.sum())) for one in made}
    assert sizes == {"all": (3, 2), "string": (2, 1), "implication": (2, 1)}
    assert {one.family for one in made} == {"vaers"}


@pytest.mark.parametrize("first", [True, False])
def test_a_graph_given_before_or_after_is_that_of_the_base(first, tmp_path, monkeypatch):
    graph = small_graph(tmp_path, monkeypatch)
    notes = [Note(note_id="n1", patient_id="p1", text="HFrEF, stable on carvedilol.")]
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add(notes)
        if first:
            index.search("gout", scope=Patient("p1"), mode="reranked", k=1)  # as it comes
        index.use_reranker("combined")
        index.use_graph(graph, abbreviations=[])
        [found] = index.search("right heart strain", scope=Patient("p1"), mode="reranked")
        assert found.matches == ()
        [found] = index.search("congestive heart failure", scope=Patient("p1"), mode="reranked")
        assert [match.concept for match in found.matches] == ["D:2"]
        with pytest.raises(BadArgument, match="searches by itself"):
            index.use_reranker("combined", base="reranked")
