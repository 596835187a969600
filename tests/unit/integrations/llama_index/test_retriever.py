"""`DrEhrRetriever`: what the core finds, as nodes, inside one scope."""

import asyncio
import pickle
import threading

import pytest
from llama_index.core.schema import MetadataMode, QueryBundle

from drehr_rag import ward
from drehr_rag.errors import BadArgument, ScopeError, ScopeRequired, UnknownName
from drehr_rag.index import EhrIndex
from drehr_rag.integrations._search import expander_of
from drehr_rag.integrations.llama_index import DrEhrRetriever
from drehr_rag.testing import HashEncoder
from drehr_rag.types import AllPatients, Cohort, Encounter, Note, Patient

EVERYBODY = AllPatients(reason="test")


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=64)) as index:
        index.add(ward.notes())
        yield index


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical", "rrf", "expanded", "reranked"])
@pytest.mark.parametrize(
    "scope", [Patient("p04"), Encounter("p01", "p01-e1"), Cohort(["p01", "p04"]), EVERYBODY]
)
def test_finds_what_the_core_finds(index, mode, scope):
    retriever = DrEhrRetriever(index, scope=scope, mode=mode, similarity_top_k=7)
    hits = index.search("chest pain and heparin", scope=scope, mode=mode, k=7)
    for nodes in (
        retriever.retrieve("chest pain and heparin"),
        asyncio.run(retriever.aretrieve("chest pain and heparin")),
    ):
        assert [n.node_id for n in nodes] == [hit.chunk.chunk_id for hit in hits]
        assert [n.score for n in nodes] == [hit.score for hit in hits]
        assert [n.text for n in nodes] == [hit.chunk.text for hit in hits]
    assert len(hits) > 1


def test_a_node_says_where_it_stands_and_hides_who_it_is_about(index):
    notes = {note.note_id: note for note in ward.notes()}
    for found in DrEhrRetriever(index, scope=Patient("p04")).retrieve("clopidogrel"):
        node, note = found.node, notes[found.node.ref_doc_id]
        assert note.text[node.start_char_idx : node.end_char_idx] == node.text
        assert node.metadata["patient_id"] == note.patient_id == "p04"
        assert node.metadata["note_id"] == note.note_id
        assert node.metadata["written_at"] == note.written_at.isoformat()
        assert node.get_content(MetadataMode.EMBED) == node.text
        shown = node.get_content(MetadataMode.LLM)
        assert note.note_id in shown
        assert "patient_id" not in shown


def test_a_node_tells_why_it_was_found_if_it_is_asked(index):
    """Neither a model nor a vector sees it, and the next search is told anew."""
    asked = {"scope": EVERYBODY, "similarity_top_k": 30}
    plain = DrEhrRetriever(index, **asked).retrieve("chest pain")
    told = DrEhrRetriever(index, **asked, explain=True)
    found = told.retrieve("chest pain")
    hits = index.search("chest pain", scope=EVERYBODY, k=30)
    assert "negated" in [node.metadata["assertion"] for node in found]
    for before, after, hit in zip(plain, found, hits, strict=True):
        assert after.metadata == before.metadata | {
            "scores": dict(hit.scores),
            "assertion": hit.assertion,
            "matches": [],
        }
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert after.node.get_content(mode) == before.node.get_content(mode)
    [group, *_] = told.retrieve_grouped("chest pain")
    assert all("assertion" in node.metadata for node in group.nodes)


def test_rankings_of_two_queries_are_fused_by_their_nodes(index):
    """What differs from query to query is not in the metadata unless it is asked for."""
    retriever = DrEhrRetriever(index, scope=Patient("p04"))
    one, other = map(retriever.retrieve, ("chest pain", "no chest pain on exertion"))
    hashes = {node.node_id: node.node.hash for node in one}
    common = [node for node in other if node.node_id in hashes]
    assert common
    assert all(node.node.hash == hashes[node.node_id] for node in common)


def test_filters_narrow_as_in_the_core(index):
    options = {"section": "medications", "note_type": ["Discharge summary", "Clinic letter"]}
    options |= {"since": "2024-01-01", "until": "2024-12-31"}
    retriever = DrEhrRetriever(index, scope=EVERYBODY, similarity_top_k=50, **options)
    hits = index.search("metoprolol", scope=EVERYBODY, k=50, **options)
    assert [n.node_id for n in retriever.retrieve("metoprolol")] == [
        hit.chunk.chunk_id for hit in hits
    ]
    assert 0 < len(hits) < 50


def test_patients_as_in_the_core(index):
    retriever = DrEhrRetriever(index, scope=Cohort(["p01", "p04", "p08"]))
    expected = index.search_patients("heparin", scope=retriever.scope, k=2, per_patient=2)
    for groups in (
        retriever.retrieve_grouped("heparin", k=2, per_patient=2),
        asyncio.run(retriever.aretrieve_grouped(QueryBundle("heparin"), k=2, per_patient=2)),
    ):
        assert [(g.patient_id, g.score) for g in groups] == [
            (p.patient_id, p.score) for p in expected
        ]
        for group, patient in zip(groups, expected, strict=True):
            assert [(n.node_id, n.score) for n in group.nodes] == [
                (hit.chunk.chunk_id, hit.score) for hit in patient.hits
            ]
    assert len(expected) == 2


def test_a_scope_is_required_and_only_narrows(index):
    with pytest.raises(TypeError, match="scope"):
        DrEhrRetriever(index)
    with pytest.raises(ScopeRequired):
        DrEhrRetriever(index, scope=None)
    with pytest.raises(ScopeRequired):
        DrEhrRetriever(index, scope="p01")
    wide = DrEhrRetriever(index, scope=Cohort(["p01", "p04"]))
    narrow = wide.with_scope(Patient("p01"))
    assert {n.metadata["patient_id"] for n in narrow.retrieve("heparin")} == {"p01"}
    assert wide.scope == Cohort(["p01", "p04"])
    for wider in (Patient("p08"), EVERYBODY, wide.scope):
        with pytest.raises(ScopeError):
            narrow.with_scope(wider)


def test_texts_written_for_the_embedding_are_used_for_it(index):
    """As HyDE does: words to match are the question's, the vector is the imagined answer's."""
    imagined = ["the patient takes apixaban 5 mg", "anticoagulation with apixaban"]
    bundle = QueryBundle("why?", custom_embedding_strs=imagined)
    retriever = DrEhrRetriever(index, scope=Patient("p01"), mode="dense", similarity_top_k=4)
    vector = index.encoder.encode_queries(imagined).mean(axis=0)
    expected = index.store.search_dense(vector[None], scope=Patient("p01"), k=4)[0]
    found = retriever.retrieve(bundle)
    assert [n.node_id for n in found] == [hit.chunk.chunk_id for hit in expected]
    assert {n.metadata["patient_id"] for n in found} == {"p01"}


def test_with_texts_for_the_embedding_the_words_are_widened_by_the_indexs_own_graph(index):
    bundle = QueryBundle("GTN", custom_embedding_strs=["nitroglycerin for chest pain"])
    retriever = DrEhrRetriever(index, scope=Patient("p04"), mode="expanded", similarity_top_k=3)
    assert {n.metadata["patient_id"] for n in retriever.retrieve(bundle)} == {"p04"}
    assert expander_of(index) is index._retriever("expanded").expander


def test_a_vector_of_another_model_is_passed_over(index):
    retriever = DrEhrRetriever(index, scope=Patient("p01"), similarity_top_k=4)
    bundle = QueryBundle("apixaban", embedding=[0.5] * 1536)
    assert retriever.retrieve(bundle) == retriever.retrieve("apixaban")


def test_bad_questions_are_clear_errors(index):
    retriever = DrEhrRetriever(index, scope=Patient("p01"))
    for words in ("", "  ", "?!", "\ud800 x"):
        with pytest.raises(BadArgument, match="query"):
            retriever.retrieve(words)
        with pytest.raises(BadArgument, match="query"):
            retriever.retrieve_grouped(words)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"similarity_top_k": 0}, "similarity_top_k is .* a whole number from 1 up"),
        ({"similarity_top_k": "3"}, "similarity_top_k"),
        ({"mode": "mmr"}, "no retriever is called 'mmr'"),
        ({"mode": None}, "no retriever"),
        ({"since": "yesterday"}, "since is not a date"),
        ({"until": ""}, "until is empty"),
        ({"section": [1]}, "section is a name"),
        ({"note_type": 7}, "note_type is a list"),
    ],
)
def test_options_that_cannot_be_meant_are_told_when_it_is_made(index, option, reason):
    with pytest.raises(BadArgument, match=reason):
        DrEhrRetriever(index, scope=Patient("p01"), **option)


def test_an_unknown_option_is_an_error(index):
    with pytest.raises(TypeError):
        DrEhrRetriever(index, scope=Patient("p01"), patientid="p02")
    with pytest.raises(UnknownName):
        DrEhrRetriever(index, scope=Patient("p01"), mode="")


def test_it_stays_in_its_process(index):
    with pytest.raises(BadArgument, match="open it again"):
        pickle.dumps(DrEhrRetriever(index, scope=Patient("p01")))


class Waiting(HashEncoder):
    def __init__(self):
        super().__init__()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def encode_queries(self, texts):
        if not self.may_go_on.wait(timeout=20):
            raise TimeoutError("the event loop stood still while the encoder worked")
        return super().encode_queries(texts)


@pytest.mark.parametrize("method", ["aretrieve", "aretrieve_grouped"])
def test_the_event_loop_goes_on_while_it_searches(method):
    encoder = Waiting()
    with EhrIndex.open(":memory:", encoder=encoder) as index:
        index.add([Note(note_id="n1", patient_id="p1", text="Gout of the left toe.")])
        encoder.may_go_on.clear()
        retriever = DrEhrRetriever(index, scope=Patient("p1"))

        async def elsewhere():
            await asyncio.sleep(0.01)
            encoder.may_go_on.set()

        async def both():
            return (await asyncio.gather(getattr(retriever, method)("gout"), elsewhere()))[0]

        assert len(asyncio.run(both())) == 1
