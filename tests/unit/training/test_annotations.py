"""People's labels: each source is read; a label goes only to chunks that it is known to be of."""

import gzip
import json
import zipfile

import pytest

from drehr_rag.errors import BadArgument, TrainingError, UnknownName
from drehr_rag.training.examples import read_examples
from drehr_rag.training.leakage import Guard, HeldOutIds
from drehr_rag.training.stage2.annotated import AnnotatedCorpus
from drehr_rag.training.stage2.annotations import Label, read_annotations
from drehr_rag.training.stage2.build import build_from_annotations
from drehr_rag.training.stage2.placing import placed
from drehr_rag.types import Chunk, Reject

LONG = " ".join(f"word{i}" for i in range(150))


def vaers(folder, year="2000", text="Fever & rash ½ hour after vaccination"):
    place = folder / f"{year}VAERSData.zip"
    rows = [f'1,TX,"{text}"', f'2,,"{LONG} Dyspnoea then"', "3,,", "4,,x y", ""]
    data = "\r\n".join(["VAERS_ID,STATE,SYMPTOM_TEXT", *rows])
    terms = (
        "VAERS_ID,SYMPTOM1,V1,SYMPTOM2,V2,SYMPTOM3,V3,SYMPTOM4,V4,SYMPTOM5,V5\n"
        "1,Pyrexia,8,Rash,8,Pain,8,Chills,8,Cough,8\n1,Pyrexia,8,Malaise,8,,,,,,\n"
        "2,Dyspnoea,8,Pyrexia,8,,,,,,\n3,Pain,8,,,,,,,,\n4,Unevaluable event,8,,,,,,,,\n"
    )
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(f"{year}VAERSDATA.csv", data.encode("cp1252"))
        archive.writestr(f"{year}VAERSSYMPTOMS.csv", terms.encode("cp1252"))
        archive.writestr(f"{year}VAERSVAX.csv", "VAERS_ID,VAX_TYPE\n")
    return place


def examples(sources, output, **options):
    manifest = build_from_annotations(AnnotatedCorpus(sources, **options), output)
    return {example.idx: example for example in read_examples(output)}, manifest


def test_vaers(tmp_path):
    found, manifest = examples([f"vaers:{vaers(tmp_path)}"], tmp_path / "out.jsonl.gz")
    assert list(found) == ["vaers2000-1_0", "vaers2000-2_1"]
    first = found["vaers2000-1_0"]
    assert first.text == "Fever & rash ½ hour after vaccination"
    # implied ones too: the report is one chunk, and a term that stands in two rows counts once
    assert first.entities == ("Pyrexia", "Rash", "Pain", "Chills", "Cough", "Malaise")
    # a report of two chunks: the one term that is written, where it is written
    assert found["vaers2000-2_1"].entities == ("Dyspnoea",)
    assert manifest["corpus"] == {
        "notes": 3,
        "labels": 8,
        "labels dropped: nobody says which chunk of the note": 1,
        "labels dropped: says that there is no event": 1,
        "notes dropped: without labels": 1,
        "rows dropped: a report without text": 1,
        "chunks": 3,
    }
    assert manifest["counts"] == {"chunks without entities": 1, "entities": 7}
    assert manifest["settings"]["corpus"]["annotations"] == ["vaers"]


def test_several_files_and_one_twice(tmp_path):
    sources = [f"vaers:{vaers(tmp_path, year)}" for year in ("2000", "2001")]
    found, manifest = examples([*sources, sources[0]], tmp_path / "out.jsonl")
    assert len(found) == 4
    assert manifest["corpus"]["notes dropped: the same note_id as another note"] == 3


@pytest.mark.parametrize("damage", ["missing", "text", "empty"])
def test_an_archive_that_is_none(tmp_path, damage):
    place = tmp_path / "2000VAERSData.zip"
    if damage == "text":
        place.write_text("VAERS_ID")
    elif damage == "empty":
        zipfile.ZipFile(place, "w").close()
    with pytest.raises(TrainingError, match=r"2000VAERSData\.zip"):
        list(read_annotations(f"vaers:{place}"))


def mtsamples(folder):
    rows = [
        {
            "note_id": "mts-1",
            "text": f"Chronic pelvic pain. {LONG} Injected lidocaine.",
            "keywords": ["pelvic pain", "Lidocaine", "pelvic pai", "gynecology"],
            "description": "Chronic pelvic pain, was injected with lidocaine.",
            "sample_name": "Pelvic Pain Consult",
            "cluster": "c0033",
        },
        {"note_id": "mts-2", "text": "Gout.", "keywords": ["gout"], "cluster": "c7"},
    ]
    place = folder / "mts.jsonl.gz"
    lines = "\n".join([*map(json.dumps, rows), '{"note_id": 5}', "{", ""])
    place.write_bytes(gzip.compress(lines.encode()))
    return place


def test_mtsamples(tmp_path):
    source = f"mtsamples:{mtsamples(tmp_path)}"
    found, manifest = examples([source], tmp_path / "out.jsonl")
    assert {idx: one.entities for idx, one in found.items()} == {
        "mts-1_0": ("pelvic pain",),
        "mts-1_1": ("Lidocaine",),
        "mts-2_0": ("gout",),
    }
    assert manifest["corpus"]["labels dropped: nobody says which chunk of the note"] == 2
    assert (
        manifest["corpus"]["rows dropped: not a note of MTSamples: note_id and text are needed"]
        == 2
    )
    parts = [
        {row.note.note_id for row in read_annotations(f"{source}?keep=cluster:{part}/10") if
         not isinstance(row, Reject)}
        for part in range(10)
    ]  # fmt: skip
    assert sorted(map(len, parts)) == [0] * 8 + [1, 1] or max(map(len, parts)) == 2
    assert set().union(*parts) == {"mts-1", "mts-2"}


def test_what_is_said_of_a_whole_note_goes_where_most_of_it_stands(tmp_path):
    source = f"mtsamples:{mtsamples(tmp_path)}?labels=description,name"
    found, _ = examples([source], tmp_path / "out.jsonl")
    assert {idx: one.entities for idx, one in found.items()} == {
        "mts-1_0": ("Pelvic Pain Consult",)
    }


NCBI = """
11|t|Ataxia in families.
11|a|We saw ataxia. {long} Ataxia and breast and ovarian cancer.
11\t0\t6\tAtaxia\tSpecificDisease\tD001259
11\t27\t33\tataxia\tSpecificDisease\tOMIM:208900
11\t{at}\t{end}\tbreast and ovarian cancer\tCompositeMention\tD001943|D010051
11\t2\t9\tgout\tSpecificDisease\tD006073

12|t|Only a title
""".strip()


def test_ncbi(tmp_path):
    place = tmp_path / "set.txt"
    whole = f"Ataxia in families. We saw ataxia. {LONG} Ataxia and breast and ovarian cancer."
    at = whole.index("breast")
    place.write_text(NCBI.format(long=LONG, at=at, end=at + len("breast and ovarian cancer")))
    found, manifest = examples([f"ncbi:{place}"], tmp_path / "out.jsonl")
    first, last = found["ncbi-11_0"], found["ncbi-11_1"]
    assert (first.entities, first.concepts) == (("Ataxia",), ("MESH:D001259",))
    assert (last.entities, last.concepts) == (("breast and ovarian cancer",), None)
    assert manifest["corpus"]["labels dropped: offsets that do not hold its words"] == 1
    assert manifest["corpus"]["rows dropped: an abstract without its lines |t| and |a|"] == 1
    assert manifest["licences"] == {"set.txt": "public domain (US government)"}


# -- a table of one's own --------------------------------------------------------------------------


@pytest.fixture
def notes(tmp_path):
    file = tmp_path / "notes.jsonl"
    rows = [("n1", "Fever and gout."), ("n2", f"Gout. {LONG} Fever."), ("n3", "Well.")]
    fields = [{"note_id": note, "patient_id": "p", "text": text} for note, text in rows]
    file.write_text("\n".join(map(json.dumps, fields)))
    return file


TABLES = {
    "a.csv": "note_id,entity,concept,start,end\n"
    "n1,podagra,MESH:D006073,,\nn2,gout,,0,4\nn2,fever,,,\nn2,malaise,,,\nn9,x y,,,\n"
    "n1,,,,\nn1,gout,,3,\nn2,far,,9,99999\n",
    "a.jsonl": '{"note_id": "n1", "entity": "podagra", "concept": "MESH:D006073"}\n'
    '{"note_id": "n2", "entity": "gout", "start": 0, "end": 4}\n'
    '{"note_id": "n2", "entities": ["fever", "malaise"]}\n\n{"note_id": "n9", "entity": "x y"}\n'
    '{"note_id": "n1"}\n{\n{"note_id": "n2", "entity": "far", "start": 9, "end": 99999}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_ones_own(tmp_path, notes, name):
    place = tmp_path / name
    place.write_text(TABLES[name])
    found, manifest = examples([f"table:{place}"], tmp_path / "out.jsonl", notes=[notes])
    assert {idx: one.entities for idx, one in found.items()} == {
        "n1_0": ("podagra",),
        "n2_0": ("gout",),
        "n2_1": ("fever",),
    }
    assert found["n1_0"].concepts == ("MESH:D006073",)
    corpus = manifest["corpus"]
    assert corpus["rows dropped: labels of a note that is not there"] == 1
    assert corpus["rows dropped: no note_id and entity, or offsets that are none"] == 2
    assert corpus["labels dropped: offsets outside the note"] == 1
    assert corpus["labels dropped: nobody says which chunk of the note"] == 1


def test_files_of_one_name_in_two_folders_are_two(tmp_path, notes):
    places = [tmp_path / name / "a.csv" for name in ("x", "y")]
    for place in places:
        place.parent.mkdir()
        place.write_text("note_id,entity\nn1,gout\n")
    sources, output = [f"table:{place}" for place in places], tmp_path / "out.jsonl"
    _, manifest = examples(sources, output, notes=[notes])
    assert list(manifest["sources"]) == ["a.csv", "a.csv (2)", "notes.jsonl"]
    assert manifest["licences"] == {}
    places[0].write_text("note_id,entity\nn1,fever\n")
    with pytest.raises(TrainingError, match="built with other settings or notes"):
        examples(sources, output, notes=[notes])


def test_columns_of_other_names(tmp_path, notes):
    place = tmp_path / "a.tsv"
    place.write_text("id\tterm\nn1\tgout\n")
    source = f"table:{place}?note_id=id&entity=term"
    found, _ = examples([source], tmp_path / "out.jsonl", notes=[notes])
    assert found["n1_0"].entities == ("gout",)
    with pytest.raises(TrainingError, match="note_id=COLUMN&entity=COLUMN"):
        examples([f"table:{place}"], tmp_path / "other.jsonl", notes=[notes])


def test_what_cannot_be_meant(tmp_path, notes):
    with pytest.raises(BadArgument, match="NAME:FILE"):
        read_annotations("vaers")
    with pytest.raises(BadArgument, match="NAME:FILE"):
        examples(["vaers"], tmp_path / "out.jsonl")
    with pytest.raises(UnknownName, match="no annotation is called 'vares'"):
        read_annotations("vares:x.zip")
    with pytest.raises(UnknownName, match="vaers have no options, not year"):
        read_annotations("vaers:x.zip?year=2000")
    with pytest.raises(BadArgument, match="leave --notes out"):
        read_annotations("vaers:x.zip", notes=[notes])
    with pytest.raises(BadArgument, match="name the notes with --notes"):
        read_annotations("table:x.csv")
    with pytest.raises(TrainingError, match="no note there has labels"):
        empty = tmp_path / "empty.jsonl"
        empty.write_text('{"note_id": "a", "text": "b"}')
        examples([f"mtsamples:{empty}"], tmp_path / "out.jsonl")


# -- placing ---------------------------------------------------------------------------------------


def chunks(*texts):
    starts = [sum(len(t) + 1 for t in texts[:i]) for i in range(len(texts))]
    return [
        Chunk(f"n_{i}", "n", None, start, start + len(text), text, text)
        for i, (start, text) in enumerate(zip(starts, texts, strict=True))
    ]


def test_whole_words_whatever_their_case_and_punctuation():
    some = chunks("Chest pain, and HEART-failure.", "No hearts failed.")
    labels = [Label("heart failure"), Label("pain and"), Label("heart"), Label("art")]
    assert placed(labels, some) == ([labels[:3], []], 1)


def test_one_chunk_has_what_is_implied_but_not_what_should_be_written():
    some = chunks("SOB on exertion")
    labels = [Label("Dyspnoea"), Label("Dyspnoea", rule="written")]
    assert placed(labels, some) == ([labels[:1]], 1)


def test_a_stretch_goes_to_every_chunk_that_holds_it_whole():
    some = chunks("gout and fe", "ver and gout")
    labels = [
        Label("gout", rule="span", start=0, end=4),
        Label("fever", rule="span", start=9, end=15),
    ]
    assert placed(labels, some) == ([labels[:1], []], 1)


def test_held_out_notes_give_no_example(tmp_path):
    corpus = AnnotatedCorpus([f"vaers:{vaers(tmp_path)}"])
    guard = Guard(ids=HeldOutIds(frozenset({"vaers2000-1"}), "ids.txt"))
    manifest = build_from_annotations(corpus, tmp_path / "out.jsonl", guard=guard)
    assert [one.idx for one in read_examples(tmp_path / "out.jsonl")] == ["vaers2000-2_1"]
    assert manifest["failures"] == {"held out (id)": 1}
