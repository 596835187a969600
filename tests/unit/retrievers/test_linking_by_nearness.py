"""What a graph has no name for is taken for the nearest name, if one is near, and hits say so."""

from types import SimpleNamespace

import pytest
from conftest import make_chunk
from unit.retrievers.small_graph import small_graph

from drehr_rag.cli._explain import explained
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg import NearestTerms, Record
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.retrievers._expansion import Expander
from drehr_rag.retrievers._linking import MENTIONS, link
from drehr_rag.stores import open_store
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.types import AllPatients, Patient

pytestmark = pytest.mark.usefixtures("one_encoder")
SAID = "attack of the heart"


@pytest.fixture(scope="module")
def encoder(one_encoder):
    return load_encoder("offline")


@pytest.fixture(scope="module")
def names(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    with pytest.MonkeyPatch.context() as patch:
        graph = small_graph(folder, patch)
    return NearestTerms.build(graph, encoder, folder / "n")


def by(query, names, least=0.6):
    found = link(query, names.graph, None, names, least)
    return [(mention.text, mention.meanings[0].by) for mention in found]


def test_only_what_is_not_known_by_name_is_taken_for_the_nearest(names):
    assert link(SAID, names.graph) == []
    (mention,) = link(SAID, names.graph, None, names, 0.6)
    assert (mention.text, mention.part) == (SAID, 1.0)
    assert "heart attack" in {meaning.name for meaning in mention.meanings}
    shares = [meaning.share for meaning in mention.meanings]
    assert shares == sorted(shares, reverse=True) and shares[0] <= 1 and shares[-1] >= 0.6
    assert by("heart attack", names) == [("heart attack", "exact")]
    assert by(f"does he have {SAID}, anemia or kidney trouble?", names) == [
        (SAID, "nearest"),
        ("anemia", "exact"),
    ]


def test_nothing_near_is_nothing(names):
    assert by(SAID, names, 1.0) == []
    for query in ("xyzzy plugh", "was it or all", "patient history", "12 34", "", "心臓発作"):
        assert by(query, names, 0.9) == []


def test_two_thousand_words_ask_the_encoder_for_few_parts(names, encoder, monkeypatch):
    asked = []
    compute = encoder.encode_queries
    monkeypatch.setattr(encoder, "encode_queries", lambda t: asked.append(t) or compute(t))
    assert len(by("anemia and the blood count " * 400, names)) <= MENTIONS
    assert len(asked) <= MENTIONS + 1
    asked.clear()
    assert by("blood of the count " * 500, names) == [] and asked == []  # no name is so long


def test_terms_weigh_by_the_cosine_and_tell_the_name(names):
    terms = {t.text: t for t in Expander(names.graph, nearest=names, least=0.6).expand(SAID)}
    term = terms["myocardial infarction"]
    share = next(m.share for m in link(SAID, names.graph, None, names, 0.6)[0].meanings)
    assert (term.kind, term.of) == ("synonym", SAID) and term.near is not None
    assert term.weight == pytest.approx(0.9 * share)
    assert {t.near for t in Expander(names.graph).expand("heart attack")} == {None}


def test_a_hit_tells_the_nearest_name(names, encoder):
    texts = ["old myocardial infarction", "no complaints", "myocardial infarction"]
    chunks = [make_chunk(i, patient=f"p{i}", text=text) for i, text in enumerate(texts)]
    store = open_store(":memory:", manifest={"dimension": encoder.fingerprint.dimension})
    digests = {chunk.note_id: ("d", 1) for chunk in chunks}
    store.upsert(chunks, encoder.encode_passages(texts), sparse_passages(texts), digests)
    parts = {"encoder": encoder, "store": store, "graph": names.graph, "abbreviations": ()}
    retriever = load_retriever("expanded", **parts, nearest=names.folder, least=0.6)
    (hit,) = retriever.retrieve([SAID], scope=Patient("p0"), filters=NO_FILTERS, k=5)[0]
    (match,) = [one for one in hit.matches if one.term == "myocardial infarction"]
    assert (match.kind, match.of) == ("synonym", SAID) and match.near in names.graph.terms()
    (line,) = [line.plain for line in explained(hit) if "myocardial" in line.plain]
    assert f"taken for the nearest name, “{match.near}”" in line
    plain = load_retriever("expanded", **parts)
    everybody = {"scope": AllPatients(reason="test"), "filters": NO_FILTERS, "k": 5}
    assert all(not one.matches for one in plain.retrieve([SAID], **everybody)[0])


def test_what_does_not_fit_together_is_refused(names, encoder, tmp_path, monkeypatch):
    parts = {"encoder": encoder, "store": None, "abbreviations": ()}
    other = small_graph(tmp_path, monkeypatch, [Record("D:1", ("gout",))])
    for nearest in (names, names.folder):
        with pytest.raises(GraphError, match="graph"):
            load_retriever("expanded", **parts, graph=other, nearest=nearest)
    with pytest.raises(GraphError, match="holds no names"):
        load_retriever("expanded", **parts, graph=names.graph, nearest=tmp_path)
    with pytest.raises(BadArgument, match="graph in a folder"):
        made_up = SimpleNamespace(synonyms=names.graph.synonyms)
        load_retriever("expanded", **parts, graph=made_up, nearest=names)
    with pytest.raises(BadArgument, match="not object"):
        load_retriever("expanded", **parts, graph=object(), nearest=names)
    for least in (2, -1, "much"):
        with pytest.raises(BadArgument, match="cosine from 0 to 1"):
            load_retriever("expanded", **parts, graph=names.graph, nearest=names, least=least)
