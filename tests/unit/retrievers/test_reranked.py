"""Mode reranked: another order of the base's best hits, and of nothing else."""

import pytest
from conftest import make_chunk

from drehr_rag.errors import BadArgument, RerankerError, UnknownName
from drehr_rag.index import EhrIndex
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import open_store
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Filters, Note, Patient

EVERYBODY = AllPatients(reason="test")
ENCODER = HashEncoder(dimension=16)
TEXTS = [
    "gout of the big toe",
    "gout gout gout",
    "toe pain and gout",
    "the toe is red",
    "heart failure",
    "gout in the family of the patient",
]


class Longest:
    """The longer a text, the better; it tells what it was given."""

    name = "longest"

    def __init__(self, spoilt=None):
        self.given, self.spoilt = [], spoilt

    def score(self, query, texts):
        self.given.append((query, list(texts)))
        scores = [float(len(text)) for text in texts]
        return scores if self.spoilt is None else self.spoilt(scores)


@pytest.fixture
def store():
    opened = open_store(":memory:", manifest={"dimension": 16})
    chunks = [
        make_chunk(i, patient=f"p{i % 2}", note=f"n{i}", text=text) for i, text in enumerate(TEXTS)
    ]
    digests = {chunk.note_id: ("d", 1) for chunk in chunks}
    opened.upsert(chunks, ENCODER.encode_passages(TEXTS), sparse_passages(TEXTS), digests)
    yield opened
    opened.close()


def reranked(store, reranker=None, **options):
    parts = {"encoder": ENCODER, "store": store, **options}
    return load_retriever("reranked", reranker=reranker or Longest(), **parts)


def asked(retriever, query="gout toe", *, scope=EVERYBODY, filters=NO_FILTERS, k=6):
    return retriever.retrieve([query], scope=scope, filters=filters, k=k)[0]


def names(hits):
    return [hit.chunk.chunk_id for hit in hits]


@pytest.mark.parametrize("base", ["hybrid", "dense", "lexical", "rrf"])
def test_the_best_of_any_base_are_ordered_anew_and_the_others_follow(store, base):
    plain = load_retriever(base, encoder=ENCODER, store=store)
    before = asked(plain)
    reranker = Longest()
    hits = asked(reranked(store, reranker, base=plain, depth=3, share=1.0))
    assert reranker.given == [("gout toe", [hit.chunk.text for hit in before[:3]])]
    assert names(hits)[:3] == names(sorted(before[:3], key=lambda hit: -len(hit.chunk.text)))
    assert names(hits)[3:] == names(before)[3:]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        own = (
            {"rerank": float(len(hit.chunk.text))}
            if names(hits).index(hit.chunk.chunk_id) < 3
            else {}
        )
        (old,) = (one for one in before if one.chunk == hit.chunk)
        assert hit.scores == {**old.scores, **own}


def test_a_share_of_nothing_is_the_base(store):
    plain = load_retriever("hybrid", encoder=ENCODER, store=store)
    assert names(asked(reranked(store, share=0.0))) == names(asked(plain))


def test_rank_and_a_small_k_agree_with_retrieve(store):
    retriever = reranked(store, depth=4)
    whole = asked(retriever)
    assert asked(retriever, k=2) == whole[:2]
    (ranked,) = retriever.rank(["gout toe"], scope=EVERYBODY, filters=NO_FILTERS, k=6)
    assert [(one.chunk_id, one.score, one.scores) for one in ranked] == [
        (hit.chunk.chunk_id, hit.score, hit.scores) for hit in whole
    ]


def test_nothing_from_outside_is_shown_to_the_reranker(store):
    reranker = Longest()
    retriever = reranked(store, reranker)
    hits = asked(retriever, scope=Patient("p1"), filters=Filters(note_ids=("n1", "n2", "n3")))
    assert set(names(hits)) == {"c1", "c3"}
    retriever.retrieve_patients("gout", scope=Patient("p1"), filters=NO_FILTERS, k=3, per_patient=1)
    seen = {text for _, texts in reranker.given for text in texts}
    assert seen <= {TEXTS[1], TEXTS[3], TEXTS[5]}
    assert asked(retriever, scope=Patient("stranger")) == []


def test_patients_stand_by_their_best_hit(store):
    found = reranked(store, share=1.0).retrieve_patients(
        "gout toe", scope=EVERYBODY, filters=NO_FILTERS, k=2, per_patient=2
    )
    assert [group.patient_id for group in found] == ["p1", "p0"]
    assert [len(group.hits) for group in found] == [2, 2]
    assert all(group.score == group.hits[0].score >= group.hits[1].score for group in found)
    assert found[0].hits[0].chunk.text == TEXTS[5]


@pytest.mark.parametrize(
    "spoilt", [lambda scores: scores[1:], lambda scores: [float("nan"), *scores[1:]]]
)
def test_scores_that_cannot_be_used_are_an_error_without_the_texts(store, spoilt):
    with pytest.raises(RerankerError, match=r"longest gave \d numbers for 6 passages") as error:
        asked(reranked(store, Longest(spoilt)))
    assert "gout" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": 0}, BadArgument, "depth is how many"),
        ({"share": 1.5}, BadArgument, "share is a number from 0 to 1"),
        ({"share": float("nan")}, BadArgument, "share is a number"),
        ({"base": "expandde"}, UnknownName, "Did you mean 'expanded'"),
        ({"reranker": "nothing"}, UnknownName, "no reranker is called 'nothing'"),
        ({"reranker_options": {"kept": 1}}, BadArgument, "this one is loaded"),
        ({"reranker": "late-interaction", "reranker_options": {"x": 1}}, UnknownName, "not x"),
        ({"base_options": {"x": 1}, "base": "hybrid"}, UnknownName, "not x"),
    ],
)
def test_what_cannot_be_meant(store, options, error, message):
    with pytest.raises(error, match=message):
        reranked(store, **options)


def test_an_index_reranks_by_its_own_encoder_and_by_what_it_is_told():
    with EhrIndex.open(":memory:", encoder=ENCODER) as index:
        index.add([Note(note_id=i, patient_id="p", text=text) for i, text in enumerate(TEXTS)])
        hits = index.search("gout toe", scope=Patient("p"), mode="reranked")
        assert len(hits) == 6 and all("rerank" in hit.scores for hit in hits)
        index.use_reranker(Longest(), base="lexical", share=1.0)
        hits = index.search("gout toe", scope=Patient("p"), mode="reranked", k=1)
        assert [hit.chunk.text for hit in hits] == [TEXTS[5]]
        assert set(hits[0].scores) == {"lexical", "rerank"}
