"""A graph comes back as it was put in; odd graphs have a clear outcome."""

import json
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import BadArgument, GraphError, UnknownName
from drehr_rag.kg import Record, Source, StoredGraph, build_graph
from drehr_rag.kg import build as building
from drehr_rag.kg.loaders import Loaded
from drehr_rag.protocols import KnowledgeGraph


@pytest.fixture
def graph_of(tmp_path, monkeypatch):
    """A function that builds a graph of records, one list a source."""

    def make(*sources, name="kg"):
        waiting = iter(sources)
        monkeypatch.setattr(
            building, "load", lambda *_, **__: Loaded("test", "CC0", [], iter(next(waiting)))
        )
        return build_graph(tmp_path / name, [Source(tmp_path)] * len(sources))

    return make


HEART = [
    Record("D:1", ("MI", "heart attack"), preferred="Myocardial infarction", parents=("D:2",)),
    Record("D:2", ("heart disease",), types=("disease", "disorder")),
    Record("D:1", ("Heart  Attack", "coronary"), related=(("has symptom", "S:1"),)),
    Record("S:1", preferred="chest pain"),
]


def test_what_is_asked_is_answered(graph_of):
    graph = graph_of(HEART)
    assert isinstance(graph, KnowledgeGraph)
    assert graph.concepts("HEART\n attack ") == ["D:1"]
    assert graph.synonyms("D:1") == ["Myocardial infarction", "MI", "heart attack", "coronary"]
    assert graph.preferred_term("D:1") == "Myocardial infarction"
    assert (graph.hypernyms("D:1"), graph.hyponyms("D:2")) == (["D:2"], ["D:1"])
    assert graph.related("D:1") == [("has symptom", "S:1")]
    assert graph.semantic_types("D:2") == ["disease", "disorder"]
    assert graph.concepts("no such") == graph.concepts("\ud800") == graph.concepts("") == []
    assert ("D:1" in graph, "D:9" in graph, 1 in graph, len(graph)) == (True, False, False, 3)
    assert [graph.term_number(t) for t in graph.terms()] == list(range(6))
    assert list(graph.concept_ids()) == ["D:1", "D:2", "S:1"]


def test_an_unknown_id_is_said(graph_of):
    graph = graph_of(HEART)
    for ask in (graph.synonyms, graph.hypernyms, graph.related, graph.semantic_types):
        with pytest.raises(UnknownName, match="no concept 'D:9'"):
            ask("D:9")


IDS = st.sampled_from("abcdefgh")
NAMES = st.text("xyzİ é1", min_size=1, max_size=4).filter(str.strip)
RECORDS = st.builds(
    Record,
    IDS,
    terms=st.lists(NAMES, max_size=3).map(tuple),
    preferred=st.none() | NAMES,
    parents=st.lists(IDS, max_size=3).map(tuple),
    related=st.lists(st.tuples(st.sampled_from("rs"), IDS), max_size=3).map(tuple),
    types=st.lists(st.sampled_from("TU"), max_size=2).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=12))
def test_equals_dictionaries(records, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "load", lambda *_, **__: Loaded("t", "CC0", [], iter(records)))
        graph = build_graph(tmp_path_factory.mktemp("g") / "kg", ["x"])
    key = lambda name: " ".join(name.lower().split())  # noqa: E731
    names, concepts, up, down, related, types = ({} for _ in range(6))
    for r in records:
        every = [r.preferred, *r.terms] if r.preferred is not None else r.terms
        for name in every:
            names.setdefault(r.concept_id, set()).add(key(name))
            concepts.setdefault(key(name), set()).add(r.concept_id)
        for parent in set(r.parents) - {r.concept_id}:
            up.setdefault(r.concept_id, set()).add(parent)
            down.setdefault(parent, set()).add(r.concept_id)
        edges = {(kind, target) for kind, target in r.related if target != r.concept_id}
        related.setdefault(r.concept_id, set()).update(edges)
        types.setdefault(r.concept_id, set()).update(r.types)
    for term, found in concepts.items():
        assert set(graph.concepts(term)) == found
    for concept in graph.concept_ids():
        assert sorted(map(key, graph.synonyms(concept))) == sorted(names.get(concept, ()))
        assert set(graph.hypernyms(concept)) == up.get(concept, set())
        assert set(graph.hyponyms(concept)) == down.get(concept, set())
        assert set(graph.related(concept)) == related.get(concept, set())
        assert set(graph.semantic_types(concept)) == types.get(concept, set())
        firsts = {key(r.preferred) for r in records if r.concept_id == concept and r.preferred}
        assert not firsts or key(graph.preferred_term(concept)) in firsts
    assert len(list(graph.terms())) == len(concepts) == graph.manifest["terms"]


def test_a_ring_ends_and_is_counted(graph_of):
    ring = [Record(f"r:{n}", (f"ring {n}",), parents=(f"r:{(n + 1) % 3}",)) for n in range(3)]
    tail = [Record("t:1", ("tail",), parents=("r:0",)), Record("t:0", ("own",), parents=("t:0",))]
    graph = graph_of(ring + tail)
    assert graph.hypernyms("r:0", depth=None) == ["r:1", "r:2"]
    assert graph.hypernyms("t:1", depth=2) == ["r:0", "r:1"]
    assert graph.hypernyms("t:0", depth=None) == []
    assert (graph.manifest["concepts_in_cycles"], graph.manifest["self_loops"]) == (3, 1)


def test_terms_of_one_letter_are_names_like_others(graph_of):
    assert graph_of([Record("E:1", ("K",), preferred="potassium")]).concepts("k") == ["E:1"]


def test_a_term_of_ten_thousand_characters_is_left_out_and_counted(graph_of):
    odd = ("x" * 10_000, "  ", "\ud800")
    graph = graph_of([Record("D:1", (*odd, "fever"))])
    assert graph.synonyms("D:1") == ["fever"]
    assert graph.manifest["left_out"] == {
        "longer than 1,000 characters": 1,
        "empty": 1,
        "half of a surrogate pair": 1,
    }


def test_concepts_without_terms_are_kept_and_counted(graph_of):
    graph = graph_of([Record("D:1", ("fever",), parents=("D:2",)), Record("D:2", parents=("D:3",))])
    assert graph.hypernyms("D:1", depth=None) == ["D:2", "D:3"]
    assert (graph.synonyms("D:2"), graph.preferred_term("D:2")) == ([], None)
    assert graph.manifest["concepts_without_terms"] == 2


def test_a_graph_without_any_term_or_edge(graph_of):
    graph = graph_of([Record("D:1", types=("disease",))])
    assert (list(graph.terms()), graph.concepts("x"), len(graph)) == ([], [], 1)


def test_sources_are_joined_by_mappings(graph_of):
    mapping = [Record("M:1", same_as=("D:1",)), Record("M:1", same_as=("N:1",))]
    mapping.append(Record("M:7", same_as=("N:7",)))  # of which nothing else is known
    first = [Record("D:1", ("MI",), preferred="Myocardial infarction")]
    second = [Record("N:1", ("cardiac infarct", "mi"), preferred="Infarct", parents=("N:2",))]
    graph = graph_of(mapping, first, second)
    assert graph.identifiers("N:1") == ["D:1", "M:1", "N:1"]
    assert graph.concept_id("M:1") == "D:1"
    assert graph.synonyms("N:1") == ["Myocardial infarction", "Infarct", "MI", "cardiac infarct"]
    assert graph.hypernyms("M:1") == ["N:2"]
    assert (graph.manifest["joined_ids"], "M:7" in graph) == (2, False)


def test_an_edge_between_two_that_are_joined_is_no_edge(graph_of):
    records = [Record("D:1", ("x",), parents=("N:1",), related=(("r", "N:1"),))]
    graph = graph_of([*records, Record("N:1", ("y",), same_as=("D:1",))])
    assert (graph.hypernyms("D:1"), graph.related("D:1")) == ([], [])


def test_pickled_and_shared_between_threads(graph_of):
    graph = pickle.loads(pickle.dumps(graph_of(HEART)))
    found = []
    threads = [threading.Thread(target=lambda: found.append(graph.synonyms("D:1"))) for _ in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [graph.synonyms("D:1")] * 4


def test_the_same_sources_give_the_same_files(graph_of):
    one, two = graph_of(HEART, name="one"), graph_of(HEART, name="two")
    assert one.manifest["files"] == two.manifest["files"]
    assert one.damaged_files() == []


def test_a_failed_build_leaves_the_old_graph(graph_of, tmp_path):
    graph_of(HEART)
    with pytest.raises(GraphError, match="without a concept id"):
        graph_of([Record("")])
    with pytest.raises(GraphError, match="holds no concept"):
        graph_of([])
    assert StoredGraph(tmp_path / "kg").concepts("mi") == ["D:1"]
    assert [p.name for p in tmp_path.iterdir()] == ["kg"]


def test_a_folder_that_is_no_graph_is_not_overwritten(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(GraphError, match="is no graph"):
        build_graph(tmp_path, ["x.obo"])
    assert (tmp_path / "mine").read_text() == "precious"


def test_damage_is_said(graph_of, tmp_path):
    folder = graph_of(HEART).folder
    with pytest.raises(GraphError, match="holds no graph"):
        StoredGraph(tmp_path / "nowhere")
    blob = folder / "terms.blob.npy"
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"?")
    assert StoredGraph(folder).damaged_files() == ["terms.blob.npy"]
    blob.write_bytes(whole[:-1])
    with pytest.raises(GraphError, match="cut short"):
        StoredGraph(folder)
    manifest = folder / "manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**facts, "schema": 99}))
    with pytest.raises(GraphError, match="schema 99"):
        StoredGraph(folder)
    manifest.write_text("{")
    with pytest.raises(GraphError, match="broken"):
        StoredGraph(folder)


def test_sources_are_named_on_one_line():
    source = Source.of("table:a.csv?id=code&licence=CC0 1.0")
    assert (source.path.name, source.loader) == ("a.csv", "table")
    assert source.options == {"id": "code", "licence": "CC0 1.0"}
    assert Source.of("C:a.obo").path.name == "C:a.obo"
    with pytest.raises(BadArgument):
        Source.of("a.csv?id")
