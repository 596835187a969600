"""`drehr-rag eval`: what it prints and keeps, for every kind of retriever, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from drehr_rag.eval.results import Result
from drehr_rag.eval.runs import read_run

pytestmark = pytest.mark.usefixtures("one_encoder")

RETRIEVERS = '''
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from llama_index.core.base.base_retriever import BaseRetriever as Nodes
from llama_index.core.schema import NodeWithScore

from drehr_rag.integrations.langchain.evaluation import documents
from drehr_rag.integrations.llama_index.evaluation import nodes


def best(texts, query, k=20):
    """By words in common."""
    words = set(query.lower().split())
    common = [(len(words & set(text.lower().split())), i) for i, text in enumerate(texts)]
    return [i for count, i in sorted(common, reverse=True)[:k] if count]


class Ours(BaseRetriever):
    held: list

    def _get_relevant_documents(self, query, *, run_manager):
        return [self.held[i] for i in best([d.page_content for d in self.held], query)]


class Theirs(Nodes):
    def __init__(self, held):
        super().__init__()
        self.held = held

    def _retrieve(self, query_bundle):
        found = best([n.text for n in self.held], query_bundle.query_str)
        return [NodeWithScore(node=self.held[i]) for i in found]


def langchain(task):
    return Ours(held=documents(task))


def llama_index(task):
    return Theirs(nodes(task))


def plain(task):
    held, texts = list(task.passages), [p.text for p in task.passages.values()]
    return {
        q: {held[i]: -float(n) for n, i in enumerate(best(texts, one.text))}
        for q, one in task.queries.items()
    }


def without_ids(task):
    return Ours(held=[Document(page_content=p.text) for p in task.passages.values()])


def nothing(task):
    return 7
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_retrievers.py").write_text(RETRIEVERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_benchmark_is_measured_kept_and_scored_again(run, folder):
    code, out, _ = run("eval", "ward", "--mode", "lexical", "--save-run", "r.json", "--out", "kept")
    assert code == 0
    for word in ("multi-patient", "single-patient", "nDCG@10", "cliniq-nDCG@10", "MAP", "disease"):
        assert word in out
    held = Result.load(folder / "kept")
    assert held.manifest["command"].startswith("drehr-rag eval ward --mode lexical")
    assert held.manifest["system"]["mode"] == "lexical"
    _, out, _ = run("eval", "score", "ward", "r.json", "--single-run", "single.r.json", "--json")
    again = {
        (line["setting"], line["group"], line["measure"]): line["means"][0]
        for line in json.loads(out)["lines"]
    }
    code, out, _ = run("eval", "ward", "--mode", "lexical", "--json")
    first = {
        (line["setting"], line["group"], line["measure"]): line["means"][0]
        for line in json.loads(out)["lines"]
    }
    assert again == pytest.approx(first)


def test_a_run_cut_at_some_depth_is_not_scored_in_notes(run, folder):
    """What it leaves out would count as not retrieved, and the figures would look right."""
    run("eval", "ward", "--mode", "lexical", "--save-run", "r.json")
    code, out, err = run("eval", "score", "ward", "r.json", "--json")
    assert code == 0
    assert {line["setting"] for line in json.loads(out)["lines"]} == {"multi-patient"}
    assert "single-patient left out: the run names 231 of the 3,567 chunks" in " ".join(err.split())


@pytest.mark.slow
def test_modes_side_by_side(run, folder):
    arguments = "eval ward --encoder offline --mode lexical --mode dense --mode hybrid --out kept"
    code, out, _ = run(*arguments.split(), "--cache", "vectors")
    assert code == 0
    assert {path.name for path in (folder / "kept").iterdir()} == {"lexical", "dense", "hybrid"}
    assert "hybrid, offline: a query takes" in out
    assert Result.load(folder / "kept" / "dense").manifest["system"]["fingerprint"]["pooling"]
    assert list((folder / "vectors").glob("*.npy"))


def test_retrievers_of_others_give_the_same_scores(run, folder):
    found = {}
    for name in ("langchain", "llama_index", "plain"):
        code, out, err = run("eval", "ward", "--retriever", f"my_retrievers:{name}", "--json")
        assert code == 0, err
        found[name] = [line["means"] for line in json.loads(out)["lines"]]
    assert found["langchain"] == found["plain"]
    assert found["llama_index"] == found["plain"]
    assert max(means[0] for means in found["plain"]) > 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("eval ward --mode dense", 2, "mode 'dense' needs an encoder"),
        ("eval ward --mode nearest --encoder offline", 2, "no retriever is called 'nearest'"),
        ("eval ward --mode lexical --option split=test", 2, "the ward has no split 'test'"),
        ("eval ward --mode lexical --option part=1", 2, "only chunker, split, words, not part"),
        ("eval ward --mode lexical --measure nDGC@10", 1, "no measure is called 'nDGC@10'"),
        ("eval ward --mode lexical --measure ERR@10", 1, "no measure is called 'ERR@10' that can"),
        ("eval ward --mode lexical --measure INSQ", 1, "no measure is called 'INSQ' that can"),
        ("eval ward --mode lexical --retriever-option a=1", 2, "lexical has no options, not a"),
        ("eval ward --mode lexical --out my_retrievers.py", 1, "is a file: name a new folder"),
        ("eval ward --mode lexical --save-run none/r.trec", 2, "there is no folder none"),
        ("eval ward --mode lexical --out .", 1, "is not empty: name a new folder"),
        ("eval devset --mode lexical", 1, "needs the folder"),
        ("eval devset ./none --mode lexical", 1, "is no folder"),
        ("eval ward --mode lexical --mode dense --save-run x", 2, "--save-run keeps one run"),
        ("eval ward --retriever my_retrievers", 2, "takes MODULE:FUNCTION"),
        ("eval ward --retriever no_such:thing", 2, "No module named 'no_such'"),
        ("eval ward --retriever my_retrievers:gone", 2, "no attribute 'gone'"),
        ("eval ward --retriever my_retrievers:nothing", 2, "gives a int"),
        ("eval ward --retriever my_retrievers:without_ids", 1, "does not tell which chunk"),
        ("eval score ward none.trec", 1, "none.trec cannot be read: No such file"),
        ("eval score ward none.trec --missing some", 1, "none.trec cannot be read"),
        ("eval grid none.toml --out x", 1, "none.toml cannot be read"),
    ],
)
def test_mistakes_end_in_one_line(run, folder, arguments, code, said):
    ended, out, err = run(*arguments.split())
    assert (ended, out) == (code, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_a_run_of_another_benchmark_is_refused(run, folder):
    (folder / "other.trec").write_text("0 Q0 100001_1 1 2.5 x\n")
    code, _, err = run("eval", "score", "ward", "other.trec")
    assert code == 1
    assert "1 of the run's 1 queries are not among the benchmark's 60" in " ".join(err.split())
    (folder / "part.trec").write_text("w-001 Q0 100001_1 1 2.5 x\n")
    code, _, err = run("eval", "score", "ward", "part.trec", "--missing", "zero")
    assert "1 of the run's 1 entries name chunks that are not among the" in " ".join(err.split())


@pytest.mark.slow
def test_the_devset_by_its_own_chunks_and_by_words_cut_again(run, folder, shared_data):
    """Cut again by the rules that made it, nearly every judged chunk is there, and scores agree."""
    place, notes = shared_data / "devset/mtsamples", shared_data / "notes/mtsamples_shared.jsonl.gz"
    saved = {}
    for name, more in {"own": [], "again": [f"notes={notes}", "chunker=words"]}.items():
        options = [part for one in more for part in ("--option", one)]
        found = ("--mode", "lexical", "--assertion", "any")
        code, out, err = run("eval", "devset", place, *found, "--json", *options)
        assert code == 0, err
        saved[name] = json.loads(out)
    facts = saved["again"]["systems"][0]["manifest"]["benchmark"]
    assert facts["judgments_without_place"] < 20
    assert facts["spans_lost"] < 0.001 * facts["spans"]
    ndcg = {
        name: next(line["means"][0] for line in one["lines"] if line["measure"] == "nDCG@10")
        for name, one in saved.items()
    }
    assert ndcg["own"] == pytest.approx(0.64, abs=0.01)
    assert 0.5 < ndcg["again"] < 0.8


def test_a_saved_run_is_what_was_ranked(run, folder):
    run("eval", "ward", "--mode", "lexical", "--save-run", "r.trec.gz", "--depth", "7")
    found = read_run(folder / "r.trec.gz")
    assert max(map(len, found.values())) == 7


def test_a_measure_has_one_name(run, folder):
    measures = [
        part for name in ("MRR", "RR", "Recall@100", "R@100") for part in ("--measure", name)
    ]
    code, _, _ = run("eval", "ward", "--mode", "lexical", "--out", "kept", *measures)
    assert code == 0
    assert {cell.measure for cell in Result.load(folder / "kept").scores} == {"RR", "R@100"}
    for name in ("MRR", "RR"):
        code, out, _ = run("eval", "compare", "kept", "kept", "--measure", name)
        assert code == 0 and "MRR" in out and "Recall" not in out


@pytest.mark.slow
def test_what_is_ended_leaves_no_notes_behind(folder):
    """SIGTERM, as `timeout` sends it, in the middle of a grid."""
    text = '[[benchmark]]\nname = "ward"\n[[system]]\nmode = "hybrid"\nencoder = "offline"\n'
    (folder / "grid.toml").write_text(text)
    scratch = folder / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-m", "drehr_rag.cli", "eval", "grid", "grid.toml", "--out", "out"]
    child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(scratch)})
    try:
        deadline = time.monotonic() + 120
        while not list(scratch.glob("drehr-grid-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(scratch.glob("drehr-grid-*"))
        child.send_signal(signal.SIGTERM)
        assert child.wait(120) == 128 + signal.SIGTERM
    finally:
        child.kill()
    assert not list(scratch.glob("drehr-grid-*"))
