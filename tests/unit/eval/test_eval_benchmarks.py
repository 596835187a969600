"""Benchmarks load whole, or say with counts what does not fit."""

import csv
import gzip
import json

import pytest

from drehr_rag.errors import EvaluationError, UnknownName
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.benchmarks.cliniq import TYPES, build_corpus, note_of
from drehr_rag.eval.task import Judgment

HEADER = ["ROW_ID", "SUBJECT_ID", "HADM_ID", "CATEGORY", "ISERROR", "TEXT"]


def words(count, start=0):
    return " ".join(f"w{start + i}" for i in range(count))


def write_rows(file, rows, header=None):
    with file.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(header or HEADER)
        table.writerows(rows)
    return file


@pytest.fixture
def mimic(tmp_path):
    """Three admissions; of one the second summary must not be taken."""
    rows = [
        [1, 10, 100001, "Nursing", "", "not this"],
        [2, 10, "100001.0", "Discharge summary", "", f"[**2151-7-16**] {words(190)}\nend"],
        [3, 10, 100001, "Discharge summary", "", "an addendum"],
        [4, 11, 100002, "Discharge summary", "", words(5)],
        [5, 12, "", "Discharge summary", "", "no admission"],
        [6, 13, 100003, "Discharge summary", "", "not listed"],
    ]
    (tmp_path / "ids.txt").write_text("100001\n100002\n")
    return write_rows(tmp_path / "NOTEEVENTS.csv", rows), tmp_path / "ids.txt"


@pytest.fixture
def cliniq(tmp_path, mimic):
    place = tmp_path / "cliniq"
    place.mkdir()
    texts = {"disease": "gout", "procedure": "dialysis", "drug": "lasix"}
    for number, kind in enumerate(TYPES):
        row = {"_id": str(number), "text": texts[kind]}
        (place / f"queries_{kind}.jsonl").write_text(json.dumps(row) + "\n")
        (place / f"qrels_{kind}.tsv").write_text(f"{number}\t100001_{number}\tsynonym\n")
    build_corpus(*mimic, place / "corpus.jsonl", sizes="any")
    return place


def test_the_corpus_is_made_as_the_paper_says(cliniq):
    rows = [json.loads(line) for line in (cliniq / "corpus.jsonl").read_text().splitlines()]
    assert [row["_id"] for row in rows] == ["100001_0", "100001_1", "100001_2", "100002_0"]
    assert rows[0]["text"].split() == words(100).split()  # the mark is gone
    assert rows[1]["text"].split()[:10] == rows[0]["text"].split()[-10:]
    assert rows[2]["text"].split() == [*words(10, 180).split(), "end"]
    assert rows[3]["text"] == words(5)


def test_cliniq(cliniq):
    task = load_benchmark("cliniq", cliniq, sizes="any")
    assert {query.type for query in task.queries.values()} == set(TYPES)
    assert task.qrels["2"] == {"100001_2": Judgment(1, "synonym")}
    assert set(task.facts["data"]) == {
        "corpus.jsonl",
        *(f"{what}_{kind}.{end}" for kind in TYPES
          for what, end in (("queries", "jsonl"), ("qrels", "tsv"))),
    }  # fmt: skip


def test_cliniq_of_other_sizes_is_refused(cliniq, mimic):
    said = "2 notes, not 1,000, 4 chunks, not 16,550"
    with pytest.raises(EvaluationError, match=said):
        load_benchmark("cliniq", cliniq)
    notes, ids = mimic
    before = (cliniq / "corpus.jsonl").read_bytes()
    with pytest.raises(EvaluationError, match=said):
        load_benchmark("cliniq", cliniq, notes=str(notes), ids=str(ids))
    assert (cliniq / "corpus.jsonl").read_bytes() == before


def test_a_corpus_that_is_there_is_not_replaced(cliniq, mimic):
    notes, ids = mimic
    corpus = cliniq / "corpus.jsonl"
    before = corpus.read_bytes()
    assert corpus.stat().st_mode & 0o077 == 0  # note text
    load_benchmark("cliniq", cliniq, notes=str(notes), ids=str(ids), sizes="any")  # the same again
    ids.write_text("100001\n")
    with pytest.raises(EvaluationError, match="holds another corpus: remove it"):
        load_benchmark("cliniq", cliniq, notes=str(notes), ids=str(ids), sizes="any")
    ids.write_text("\n")
    with pytest.raises(EvaluationError, match="names no admission"):
        load_benchmark("cliniq", cliniq, notes=str(notes), ids=str(ids), sizes="any")
    assert corpus.read_bytes() == before


def test_two_queries_of_one_text_share_judgments_within_a_type(cliniq):
    (cliniq / "queries_drug.jsonl").write_text(
        '{"_id": "2", "text": "lasix"}\n{"_id": "3", "text": "lasix"}\n'
    )
    task = load_benchmark("cliniq", cliniq, sizes="any")
    assert task.qrels["3"] == task.qrels["2"]
    (cliniq / "queries_procedure.jsonl").write_text('{"_id": "1", "text": "lasix"}\n')
    task = load_benchmark("cliniq", cliniq, sizes="any")
    assert task.qrels["1"] != task.qrels["2"]


def test_other_files_than_mimic3_are_refused(tmp_path, mimic):
    _, ids = mimic
    target = tmp_path / "corpus.jsonl"
    four = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "text"]
    rows = [["1-DS-1", 1, 100001, "DS", 1, "2180-01-01", "text"]]
    with pytest.raises(EvaluationError, match="MIMIC-IV"):
        build_corpus(write_rows(tmp_path / "discharge.csv", rows, four), ids, target, sizes="any")
    with pytest.raises(EvaluationError, match="no column CATEGORY"):
        build_corpus(
            write_rows(tmp_path / "x.csv", [[1, "a"]], ["HADM_ID", "TEXT"]),
            ids,
            target,
            sizes="any",
        )
    some = write_rows(tmp_path / "y.csv", [[2, 10, 100001, "Discharge summary", "", "t"]])
    with pytest.raises(EvaluationError, match=r"1 of 2 admissions .* HADM_ID 100002"):
        build_corpus(some, ids, target, sizes="any")
    ids.write_text("100001\nHADM\n")
    with pytest.raises(EvaluationError, match="'HADM' is no HADM_ID"):
        build_corpus(some, ids, target, sizes="any")
    assert not target.exists()


def test_cliniqs_mistakes_are_named(cliniq):
    with pytest.raises(EvaluationError, match="from both"):
        load_benchmark("cliniq", cliniq, notes="x")
    with pytest.raises(EvaluationError, match="published or any"):
        load_benchmark("cliniq", cliniq, sizes="some")
    for bad in ("100001", "100001_x", "_1"):
        with pytest.raises(EvaluationError, match="<hadm_id>_<i>"):
            note_of(bad)
    (cliniq / "qrels_drug.tsv").write_text("7\t100001_0\tsynonym\n")
    with pytest.raises(EvaluationError, match=r"1 of 1 judged queries .* type's 1"):
        load_benchmark("cliniq", cliniq, sizes="any")
    (cliniq / "queries_drug.jsonl").write_text('{"_id": "0", "text": "lasix"}\n')
    with pytest.raises(EvaluationError, match="another type's"):
        load_benchmark("cliniq", cliniq, sizes="any")


@pytest.fixture
def beir(tmp_path):
    place = tmp_path / "nf"
    (place / "qrels").mkdir(parents=True)
    with gzip.open(place / "corpus.jsonl.gz", "wt") as stream:
        stream.write('{"_id": "d1", "title": "Gout", "text": "and colchicine"}\n')
        stream.write('{"_id": "d2", "text": "nothing"}\n')
    (place / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "gout"}\n{"_id": "q2", "text": "of another split"}\n'
    )
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    return place


def test_beir(beir):
    task = load_benchmark("beir", beir)
    assert task.passages["d1"].text == "Gout and colchicine"
    assert list(task.queries) == ["q1"]
    assert task.facts["queries_without_relevant"] == 1
    assert task.qrels["q1"]["d1"].grade == 2
    with pytest.raises(EvaluationError, match=r"holds none of qrels/dev.tsv"):
        load_benchmark("beir", beir, split="dev")


def test_a_set_on_the_hub_is_fetched_or_said_how(beir, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def fetch(name, **options):
        asked.append((name, options["repo_type"]))
        return str(beir)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert list(load_benchmark("beir", "hf:BeIR/nf").queries) == ["q1"]
    assert asked == [("BeIR/nf", "dataset")]

    def fail(name, **options):
        raise OSError("no network")

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(EvaluationError, match=r"type hf download --repo-type dataset BeIR/nf"):
        load_benchmark("beir", "hf:BeIR/nf")


def test_beirs_mistakes_are_named(beir):
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq9\td1\t1\n")
    with pytest.raises(EvaluationError, match="judged queries are not among"):
        load_benchmark("beir", beir)
    (beir / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q1", "text": "b"}\n')
    with pytest.raises(EvaluationError, match="1 rows bear an id"):
        load_benchmark("beir", beir)
    (beir / "queries.jsonl").write_text('{"_id": "q1"}\n')
    with pytest.raises(EvaluationError, match=":1: no JSON object with"):
        load_benchmark("beir", beir)
    with pytest.raises(EvaluationError, match="is no folder"):
        load_benchmark("beir", beir / "none")


def test_the_ward_is_cut_by_any_chunker():
    sections, by_words = (load_benchmark("ward", chunker=name) for name in ("sections", "words"))
    assert len(sections.queries) == len(by_words.queries) == 60
    assert sections.facts["spans"] == by_words.facts["spans"] == 856
    assert len(load_benchmark("ward", split="dev").queries) < 60


def test_what_a_benchmark_does_not_take_is_said(tmp_path):
    with pytest.raises(
        UnknownName, match=r"no benchmark is called 'clinic'.*Did you mean 'cliniq'"
    ):
        load_benchmark("clinic")
    with pytest.raises(UnknownName, match="beir takes only split, not part"):
        load_benchmark("beir", tmp_path, part="x")
    with pytest.raises(EvaluationError, match="takes no folder"):
        load_benchmark("ward", tmp_path)
    with pytest.raises(EvaluationError, match="needs the folder"):
        load_benchmark("beir")
