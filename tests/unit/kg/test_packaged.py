"""The knowledge graph and the abbreviations that come with the package."""

from pathlib import Path

import pytest

from drehr_rag.kg.packaged import FOLDER, INVENTORIES, packaged_graph, packaged_inventory

NOTICE = Path(__file__).parents[3] / "NOTICE"
MAY_BE_PASSED_ON = {"CC0-1.0", "CC-BY-4.0", "public domain"}


@pytest.fixture(scope="module")
def graph():
    return packaged_graph()


def test_it_is_whole(graph):
    assert graph.damaged_files() == []
    assert sum(fact["bytes"] for fact in graph.manifest["files"].values()) < 16 * 2**20


def test_its_sources_may_be_passed_on_and_are_named(graph):
    licences = {source["path"]: source["licence"] for source in graph.manifest["sources"]}
    assert set(licences.values()) <= MAY_BE_PASSED_ON
    assert not any("hpo" in path or "umls" in path for path in licences)
    notice = NOTICE.read_text()
    for name in ("Disease Ontology", "NCI Thesaurus", "Symptom", "Mondo", "Medical Subject",
                 "DrugBank", "ICD-9-CM", "Clinical Classifications", "Vanderbilt", "Stetson",
                 "Columbia"):  # fmt: skip
        assert name in notice
    assert notice.count("CC BY 4.0") >= 3 and "CC0 1.0" in notice


@pytest.mark.parametrize(
    ("term", "other"),
    [
        ("congestive heart failure", "heart failure"),
        ("high blood pressure", "hypertension"),
        ("dyspnea", "shortness of breath"),
    ],
)
def test_it_knows_what_notes_are_about(graph, term, other):
    names = {n.lower() for concept in graph.concepts(term) for n in graph.synonyms(concept)}
    assert other in " ".join(names)


def test_what_is_narrower_has_names_too(graph):
    [concept, *_] = graph.concepts("pneumonia")
    below = {graph.preferred_term(one).lower() for one in graph.hyponyms(concept, depth=2)}
    assert any("pneumonia" in name for name in below)


def test_the_abbreviations_have_their_senses_and_no_ids_of_umls():
    inventory = packaged_inventory()
    assert inventory.senses("CHF")[0].long.lower() == "congestive heart failure"
    assert {"COPD", "MI", "HTN"} <= set(inventory.counted(0.5))
    for name in INVENTORIES:
        rows = (FOLDER / "abbreviations" / name).read_text().splitlines()
        assert not any("\tc0" in row.lower() for row in rows)


@pytest.mark.slow
def test_the_same_sources_make_the_same_bytes(shared_data, tmp_path):
    packaged_graph_module = pytest.importorskip("benchmarks.packaged_graph")
    packaged_graph_module.build(shared_data, tmp_path)
    made = {f.relative_to(tmp_path): f for f in tmp_path.rglob("*") if f.is_file()}
    kept = {f.relative_to(FOLDER) for f in FOLDER.rglob("*") if f.suffix in (".npy", ".json")}
    assert kept <= set(made)
    assert [p for p, f in made.items() if f.read_bytes() != (FOLDER / p).read_bytes()] == []
