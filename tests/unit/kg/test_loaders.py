"""Each loader on a small file in its published layout, on broken files, and on the shared data."""

import gzip
import json

import pytest

from drehr_rag.errors import BadArgument, GraphError, UnknownName

pytest.importorskip("obonet", reason="needs the extra kg")
from drehr_rag.kg import Record, StoredGraph, Unread, build_graph
from drehr_rag.kg.authors_files import export_authors
from drehr_rag.kg.loaders import load, recognise
from drehr_rag.kg.loaders._curie import curie

OBO = """format-version: 1.2

[Term]
id: DOID:1
name: disease one
synonym: "one \\"quoted\\"" EXACT [X:1]
synonym: "far" RELATED []
is_a: DOID:2 ! two
relationship: RO:1 SYMP:3 ! three
alt_id: DOID:10

[Term]
id: DOID:2
name: disease two

[Term]
id: DOID:9
name: gone
is_obsolete: true

[Typedef]
id: RO:1
name: has symptom
"""

PURL = "http://purl.obolibrary.org/obo/"
GRAPHS = {
    "graphs": [
        {
            "nodes": [
                {
                    "id": PURL + "DOID_1",
                    "type": "CLASS",
                    "lbl": "disease one",
                    "meta": {
                        "synonyms": [
                            {"pred": "hasExactSynonym", "val": "one"},
                            {"pred": "hasRelatedSynonym", "val": "far"},
                        ]
                    },
                },
                {"id": PURL + "DOID_2", "type": "CLASS", "lbl": "disease two"},
                {"id": PURL + "DOID_9", "lbl": "gone", "meta": {"deprecated": True}},
                {"id": PURL + "RO_1", "type": "PROPERTY", "lbl": "has symptom"},
            ],
            "edges": [
                {"sub": PURL + "DOID_1", "pred": "is_a", "obj": PURL + "DOID_2"},
                {"sub": PURL + "DOID_1", "pred": PURL + "RO_1", "obj": PURL + "DOID_2"},
                {"sub": PURL + "DOID_1", "pred": "is_a", "obj": PURL + "DOID_9"},
                {"sub": PURL + "DOID_1", "pred": "is_a", "obj": PURL + "DOID_77"},
            ],
        }
    ]
}


def records(path, loader=None, **options):
    return list(load(path, loader, **options).records)


def put(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_obo(tmp_path):
    file = put(tmp_path, a__obo=OBO) / "a.obo"
    assert recognise(file) == "obo"
    one, two = records(file)
    assert one == Record(
        "DOID:1",
        ('one "quoted"',),
        preferred="disease one",
        parents=("DOID:2",),
        related=(("has symptom", "SYMP:3"),),
        same_as=("DOID:10",),
    )
    assert two.concept_id == "DOID:2"
    assert records(file, synonyms="all")[0].terms == ('one "quoted"', "far")
    with pytest.raises(BadArgument, match="EXACT"):
        records(file, synonyms="NEAR")


def test_obographs(tmp_path):
    file = tmp_path / "a.json.gz"
    file.write_bytes(gzip.compress(json.dumps(GRAPHS).encode()))
    assert recognise(file) == "obographs"
    found = records(file)
    assert found[0] == Record("DOID:1", ("one",), preferred="disease one")
    assert Record("DOID:1", parents=("DOID:2",)) in found
    assert Record("DOID:1", related=(("has symptom", "DOID:2"),)) in found
    assert [r for r in found if isinstance(r, Unread)] == [
        Unread("a.json.gz: " + PURL + "DOID_1 → " + PURL + "DOID_77", "an end that has no node")
    ]


CONSO = "C1|{lat}|{ts}|L1|{stt}|S1|{pref}|A1||||{sab}|PT|1|{name}|0|{suppress}||"


def conso(name, lat="ENG", ts="S", stt="VO", pref="N", sab="MSH", suppress="N", cui="C1"):
    row = CONSO.format(name=name, lat=lat, ts=ts, stt=stt, pref=pref, sab=sab, suppress=suppress)
    return row.replace("C1", cui, 1)


def rel(one, kind, two, name="", sab="MSH", suppress="N"):
    return f"{one}|A1|AUI|{kind}|{two}|A2|AUI|{name}|R1||{sab}|{sab}|||{suppress}||"


@pytest.fixture
def meta(tmp_path):
    names = [
        conso("heart attack"),
        conso("Myocardial infarction", ts="P", stt="PF", pref="Y"),
        conso("Herzinfarkt", lat="GER"),
        conso("old name", suppress="O"),
        conso("heart disease", cui="C2"),
        conso("aspirin", cui="C3", sab="RXNORM"),
        "C4|too|short",
    ]
    edges = [
        rel("C1", "PAR", "C2", "inverse_isa"),
        rel("C2", "CHD", "C1", "isa"),
        rel("C1", "RO", "C3", "may_treat"),
        rel("C1", "RB", "C3"),
        rel("C1", "SIB", "C2"),
        rel("C1", "PAR", "C99"),
    ]
    types = ["C1|T047|B2|Disease or Syndrome|AT1||", "C99|T047|B2|Disease or Syndrome|AT1||"]
    for name, rows in (("MRCONSO", names), ("MRREL", edges), ("MRSTY", types)):
        (tmp_path / f"{name}.RRF").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_umls(meta, tmp_path):
    assert recognise(meta) == recognise(meta / "MRCONSO.RRF") == "umls"
    graph = build_graph(tmp_path / "kg", [meta])
    assert graph.synonyms("C1") == ["Myocardial infarction", "heart attack"]
    assert (graph.hypernyms("C1"), graph.hyponyms("C2")) == (["C2"], ["C1"])
    assert graph.related("C3") == [("may_treat", "C1")]
    assert graph.semantic_types("C1") == ["Disease or Syndrome"]
    assert "C99" not in graph
    assert graph.manifest["sources"][0]["unread"] == 1
    assert "UMLS" in graph.manifest["sources"][0]["licence"]


def test_umls_options(meta):
    names = {getattr(r, "terms", ()) for r in records(meta, languages="GER", suppressed="yes")} - {
        ()
    }
    assert names == {("Herzinfarkt",)}
    assert {r.concept_id for r in records(meta, sources="RXNORM") if isinstance(r, Record)} == {
        "C3"
    }
    assert Record("C1", parents=("C3",)) in records(meta, broader="PAR,RB")
    with pytest.raises(BadArgument):
        records(meta, suppressed="maybe")


def test_umls_without_its_files(tmp_path):
    with pytest.raises(GraphError, match="MRCONSO"):
        records(tmp_path, "umls")
    (tmp_path / "MRCONSO.RRF").write_text("a,b\n")
    with pytest.raises(GraphError, match="is it RRF"):
        records(tmp_path)


def test_the_authors_files_are_written_and_read(meta, tmp_path):
    graph = build_graph(tmp_path / "kg", [meta])
    assert "bios.txt" in export_authors(graph, tmp_path / "bios")
    assert json.loads((tmp_path / "bios" / "term2CUI.json").read_text())["heart attack"] == ["C1"]
    assert recognise(tmp_path / "bios") == "bios"
    again = build_graph(tmp_path / "again", [tmp_path / "bios"])
    assert list(again.concept_ids()) == list(graph.concept_ids())
    assert again.synonyms("C1") == ["myocardial infarction", "heart attack"]
    assert (again.hypernyms("C1"), again.related("C3")) == (["C2"], [("related", "C1")])


def test_bios_release_tables(tmp_path):
    put(
        tmp_path,
        concepts__tsv="cid\ttid\tstr\ttty\tlang\nB1\t1\tfever\tPT\tENG\nB1\t2\tfebris\tSY\tLAT\n"
        'B1\t3\ta "hot" one\tSY\tENG\nB2\t4\tsign\tPT\tENG\nB3\n',
        types__tsv="cid\tsty\nB1\tSign or Symptom\n",
        relations__tsv="cid1\trel\tcid2\nB1\tis a\tB2\nB2\tseen in\tB1\n",
    )
    assert recognise(tmp_path) == recognise(tmp_path / "concepts.tsv") == "bios"
    found = records(tmp_path)
    assert Record("B1", ("fever",), preferred="fever") in found
    assert Record("B1", ('a "hot" one',)) in found
    assert not any("febris" in r.terms for r in found if isinstance(r, Record))
    assert Record("B1", types=("Sign or Symptom",)) in found
    assert Record("B1", parents=("B2",)) in found
    assert Record("B2", related=(("seen in", "B1"),)) in found
    assert sum(isinstance(r, Unread) for r in found) == 1


@pytest.mark.parametrize("content", ["[]", '{"C1": ["a"', "", '{"C1" ["a"]}', "{1: 2}"])
def test_broken_json(tmp_path, content):
    (tmp_path / "CUI2term.json").write_text(content)
    with pytest.raises(GraphError, match="JSON"):
        records(tmp_path, "bios")


def test_json_longer_than_the_window(tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.kg.loaders._json_items.BLOCK", 7)
    content = {f"C{n}": [f"term {n}"] * (n % 4) for n in range(50)}
    (tmp_path / "CUI2term.json").write_text(json.dumps(content, indent=1))
    assert {r.concept_id: list(r.terms) for r in records(tmp_path, "bios")} == content


def test_any_table(tmp_path):
    file = put(tmp_path, drugs__csv="code,name,other\n7,Aspirin,ASA;Aspro\n,x,y\n") / "drugs.csv"
    options = {"id": "code", "term": "name", "synonyms": "other", "separator": ";", "prefix": "L"}
    record, unread = records(file, **options)
    assert record == Record("L:7", ("ASA", "Aspro"), preferred="Aspirin")
    assert isinstance(unread, Unread)
    for bad, why in (({}, "not known"), ({"id": "nr"}, "no column"), ({"idd": "x"}, "no option")):
        with pytest.raises((GraphError, UnknownName), match=why):
            records(file, **bad)


def test_sssom(tmp_path):
    rows = "# curie_map:\n#  x: y\nsubject_id\tpredicate_id\tobject_id\n"
    rows += "MONDO:1\tskos:exactMatch\tmesh:D1\nMONDO:1\tskos:broadMatch\tDOID:2\n"
    file = put(tmp_path, m__sssom__tsv=rows) / "m.sssom.tsv"
    same, broad = records(file)
    assert same == Record("MONDO:1", same_as=("MESH:D1",))
    assert broad == Record("MONDO:1", related=(("skos:broadMatch", "DOID:2"),))


def test_a_table_in_an_old_encoding(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes("id,label\nX:1,Ménière\n".encode("cp1252"))
    with pytest.raises(GraphError, match="encoding=cp1252"):
        records(file)
    assert records(file, encoding="cp1252")[0].preferred == "Ménière"


@pytest.mark.parametrize(
    ("text", "prefix", "is_"),
    [
        (PURL + "DOID_8718", "", "DOID:8718"),
        (f"<{PURL}HP_0000118>", "", "HP:0000118"),
        ("mesh:D001281", "MESH", "MESH:D001281"),
        ("D001281", "MESH", "MESH:D001281"),
        ("https://x.org/a", "", "https://x.org/a"),
        ("C0000001", "", "C0000001"),
    ],
)
def test_one_spelling_for_ids(text, prefix, is_):
    assert curie(text, prefix) == is_


def test_what_is_no_source(tmp_path):
    with pytest.raises(GraphError, match="there is no file"):
        records(tmp_path / "no.obo")
    with pytest.raises(GraphError, match="is a folder: name the file in it"):
        records(tmp_path, "lexicon")
    put(tmp_path, a__pdf="%PDF", b__obo="[Term\nid", c__json='{"graphs": 1}')
    with pytest.raises(UnknownName, match="cannot tell the format"):
        records(tmp_path / "a.pdf")
    with pytest.raises(GraphError, match="OBO Graphs"):
        records(tmp_path / "c.json")
    (tmp_path / "d.obo.gz").write_bytes(gzip.compress(b"format-version: 1.2\n" * 9_000)[:-9])
    with pytest.raises(GraphError, match="damaged"):
        records(tmp_path / "d.obo.gz")
    with pytest.raises(UnknownName, match="does not take"):
        records(tmp_path / "b.obo", colour="red")


SHARED = {
    "doid_2015.obo.gz": (6_574, "DOID:10763", "hypertension"),
    "hpo_2013.obo.gz": (10_223, "HP:0001658", "myocardial infarction"),
    "symp_2026.obo.gz": (895, "SYMP:0000530", "palpitation"),
    "uberon_import_2021.obo.gz": (7_577, "UBERON:0000948", "heart"),
    "doid_2018.obographs.json.gz": (None, "DOID:10763", "hypertension"),
    "ncit_disease_2018.obographs.json.gz": (None, "NCIT:C3117", "hypertension"),
    "mesh_2015_tree_numbers.tsv.gz": (None, "MESH:D006973", "hypertension"),
    "drugbank_open_vocabulary.csv.gz": (14_315, "DRUGBANK:DB00945", "aspirin"),
    "icd9cm_descriptions.csv.gz?encoding=cp1252": (14_567, "ICD9:001.0", None),
    "ccs_dx_labels_2015.csv": (None, "CCS:1", "tuberculosis"),
}


@pytest.mark.parametrize("name", SHARED)
def test_the_shared_files(name, shared_data, tmp_path):
    count, concept, term = SHARED[name]
    graph = build_graph(tmp_path / "kg", [f"{shared_data}/kg/{name}"])
    assert concept in graph
    assert term is None or concept in graph.concepts(term)
    assert count in (None, graph.manifest["sources"][0]["records"])


def test_shared_sources_join(shared_data, tmp_path):
    names = ["doid_2015.obo.gz", "mesh_2015_tree_numbers.tsv.gz", "ccs_icd9_dx_2015.csv.gz"]
    names += [f"mondo_exactmatch_{other}.sssom.tsv.gz" for other in ("doid", "mesh")]
    graph = build_graph(tmp_path / "kg", [shared_data / "kg" / name for name in names])
    assert graph.concept_id("MESH:D006973") == "DOID:10763"
    vessels = graph.concept_id("MESH:D014652")
    assert vessels in graph.hypernyms("MESH:D006973", depth=None)
    assert graph.hypernyms("ICD9:401.1") == ["CCS:98"]
    assert isinstance(StoredGraph(graph.folder), StoredGraph)


LEXICON = """# by hand
heart attack, myocardial infarction, MI  # and more
beta blocker,  beta-blocker > metoprolol, Lopressor, atenolol
metoprolol, Lopressor
> nothing above it
beta blocker > beta blocker, sotalol
drug > beta blocker > metoprolol
drug >
"""


def test_a_lexicon_tells_what_is_the_same_and_what_is_narrower(tmp_path):
    file = tmp_path / "own.lexicon.txt"
    file.write_text(LEXICON)
    assert recognise(file) == "lexicon"
    graph = build_graph(tmp_path / "kg", [f"{file}?prefix=OWN"])
    assert graph.concepts("MI") == graph.concepts("heart attack") == ["OWN:heart attack"]
    assert graph.synonyms("OWN:heart attack") == ["heart attack", "myocardial infarction", "MI"]
    [metoprolol] = graph.concepts("lopressor")  # the drug's own line tells its names
    assert metoprolol == "OWN:metoprolol"
    narrower = {"OWN:metoprolol", "OWN:atenolol", "OWN:sotalol"}
    assert set(graph.hyponyms("OWN:beta blocker")) == narrower
    assert graph.manifest["sources"][0]["unread"] == 3
    assert "line 5" in (tmp_path / "kg" / "unread.jsonl").read_text()
