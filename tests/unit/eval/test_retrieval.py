"""A run is what the retriever ranks, in both settings, and nothing is encoded twice."""

from time import sleep

import numpy as np
import pytest

from drehr_rag.errors import BadArgument
from drehr_rag.eval.retrieval import fill_store, retrieve
from drehr_rag.eval.runs import ranking
from drehr_rag.eval.scoring import score
from drehr_rag.eval.task import Judgment, Passage, Query, Task
from drehr_rag.retrievers import load_retriever
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Filters

WORDS = "gout lasix fever rash cough pain chest left renal cardiac".split()


@pytest.fixture(scope="module")
def task():
    """Four notes of six chunks; a chunk is relevant when it holds the query's word."""
    draw = np.random.default_rng(0)
    passages = {
        f"n{n}_{i}": Passage(" ".join(draw.choice(WORDS, 6)), f"n{n}")
        for n in range(4)
        for i in range(6)
    }
    qrels = {
        word: {c: Judgment(match="string") for c, p in passages.items() if word in p.text.split()}
        for word in WORDS
    }
    return Task("toy", passages, {word: Query(word) for word in WORDS}, qrels)


@pytest.fixture(scope="module")
def encoder():
    return HashEncoder(dimension=64, query_prompt="find ")  # not before passages


@pytest.fixture(scope="module")
def store(task, encoder, tmp_path_factory):
    with fill_store(task, encoder, str(tmp_path_factory.mktemp("store") / "s")) as filled:
        yield filled


def test_dense_is_the_matrix_product(task, encoder, store):
    found = retrieve(task, "dense", encoder, store)
    texts = [passage.text for passage in task.passages.values()]
    products = encoder.encode_queries(WORDS) @ encoder.encode_passages(texts).T
    for word, row in zip(WORDS, products, strict=True):
        assert found.run[word] == pytest.approx(
            dict(zip(task.passages, row, strict=True)), abs=1e-5
        )


@pytest.mark.parametrize("mode", ["dense", "lexical"])
def test_a_search_in_one_note_ranks_as_the_whole_run_does(task, encoder, store, mode):
    found = retrieve(task, mode, encoder, store)
    whole, single = (score(task, found.run, single=run) for run in (None, found.single))
    for cell in (cell for cell in whole if cell.setting == "single-patient"):
        if cell.measure in ("RR", "cliniq-nDCG"):
            assert single[cell] == pytest.approx(whole[cell])


def test_every_chunk_of_a_judged_note_has_a_place(task, encoder, store):
    found = retrieve(task, "lexical", encoder, store)
    for word, scores in found.single.items():
        notes = {task.passages[chunk].note_id for chunk in task.relevant(word)}
        assert set(scores) == {c for c, p in task.passages.items() if p.note_id in notes}
        holding = [chunk for chunk in scores if word in task.passages[chunk].text.split()]
        for note in notes:
            order = [c for c in ranking(scores) if task.passages[c].note_id == note]
            mine = [c for c in holding if task.passages[c].note_id == note]
            assert set(order[: len(mine)]) == set(mine)


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid", "rrf"])
def test_a_run_is_what_a_search_gives(task, encoder, store, mode):
    run = retrieve(task, mode, encoder, store).run
    retriever = load_retriever(mode, encoder=encoder, store=store)
    everybody = AllPatients(reason="test")
    found = retriever.retrieve(WORDS, scope=everybody, filters=Filters(), k=10)
    for word, hits in zip(WORDS, found, strict=True):
        assert [hit.score for hit in hits] == pytest.approx(sorted(run[word].values())[::-1][:10])
        assert {hit.chunk.chunk_id: hit.score for hit in hits}.items() <= run[word].items()


def test_options_reach_the_retriever(task, encoder, store):
    only_dense = retrieve(task, "hybrid", encoder, store, options={"dense_share": 1.0}).run
    dense = retrieve(task, "dense", encoder, store).run
    for word in WORDS:
        best = max(dense[word].values())
        assert max(only_dense[word], key=only_dense[word].get) in {
            chunk for chunk, value in dense[word].items() if value == pytest.approx(best)
        }


def test_vectors_are_kept_and_belong_to_their_encoder(task, tmp_path):
    class Counting(HashEncoder):
        calls = 0

        def encode_passages(self, texts):
            type(self).calls += 1
            return super().encode_passages(texts)

    for times in range(2):
        fill_store(task, Counting(), str(tmp_path / f"s{times}"), cache=tmp_path / "v").close()
        assert Counting.calls == 1
    fill_store(task, Counting(salt="other"), str(tmp_path / "s3"), cache=tmp_path / "v").close()
    assert Counting.calls == 2


def test_lexical_search_needs_no_encoder(task, tmp_path):
    told = []
    with fill_store(task, None, str(tmp_path / "s"), progress=lambda *p: told.append(p)) as store:
        found = retrieve(task, "lexical", None, store, progress=lambda *p: told.append(p))
        assert set(found.run) == set(WORDS)
        assert found.latency_ms["p50"] > 0
        with pytest.raises(BadArgument, match="mode 'dense' needs an encoder"):
            retrieve(task, "dense", None, store)
    assert ("encoding", 24, 24) in told
    assert ("multi-patient", 10, 10) in told
    assert any(what == "single-patient" and done == total for what, done, total in told)


NOTE = {
    "n1_0": "Gout of the left toe.",
    "n1_1": "Denies gout.",
    "n1_2": "No gout was found on examination of the feet, nor of the hands or of the knees.",
    "n1_3": "Fever since Monday.",
    "n1_4": "Rash on both arms.",
}


@pytest.fixture(scope="module")
def denied(encoder, tmp_path_factory):
    """A task of one note that says once that there is gout and twice that there is none."""
    passages = {name: Passage(text, "n1") for name, text in NOTE.items()}
    task = Task("denied", passages, {"q": Query("gout")}, {"q": {"n1_0": Judgment()}})
    place = str(tmp_path_factory.mktemp("denied") / "s")
    with fill_store(task, encoder, place) as filled:
        yield task, filled


@pytest.mark.parametrize("mode", ["lexical", "hybrid", "expanded"])
def test_denials_sink_as_in_a_search_and_every_chunk_keeps_its_place(denied, encoder, mode):
    task, store = denied
    found = {
        how: retrieve(task, mode, encoder, store, assertion=how)
        for how in ("any", "ranked", "present")
    }
    assert retrieve(task, mode, encoder, store).run == found["ranked"].run
    for run in ("run", "single"):
        every, ranked, present = (getattr(one, run)["q"] for one in found.values())
        assert ranked["n1_0"] == pytest.approx(every["n1_0"])
        assert all(ranked[name] < every[name] for name in ("n1_1", "n1_2"))
        assert ranking(ranked)[0] == "n1_0"
        if run == "single":
            assert set(ranked) == set(present) == set(NOTE)
            assert max(present["n1_1"], present["n1_2"]) < present["n1_0"]
        else:
            assert present.keys() == every.keys() - {"n1_1", "n1_2"}
    with pytest.raises(BadArgument, match="assertion is one of ranked, present, any"):
        retrieve(task, mode, encoder, store, assertion="none")


def test_the_time_of_encoding_is_told_apart(task, encoder, store):
    class Slow(HashEncoder):
        def encode_queries(self, texts):
            sleep(0.005)
            return super().encode_queries(texts)

    slow = Slow(dimension=64, query_prompt="find ")
    told = retrieve(task, "hybrid", slow, store).latency_ms
    assert 0 < told["search_p50"] <= told["p50"] - 4.9
    assert told["search_p50"] <= told["search_p95"]


def test_late_interaction_over_expansion_can_be_measured(denied):
    task, store = denied

    class Tokens(HashEncoder):
        """One vector a word."""

        def query_tokens(self, texts):
            return [self.encode_queries(text.split()) for text in texts]

        def passage_tokens(self, texts):
            return [self.encode_passages(text.split()) for text in texts]

    options = {"base": "expanded", "reranker": "late-interaction", "depth": 3}
    found = retrieve(task, "reranked", Tokens(dimension=64), store, options=options)
    assert ranking(found.run["q"])[0] == "n1_0"
    assert set(found.single["q"]) == set(NOTE)
