"""`EhrNoteReader`: the core's readers as LlamaIndex's, one document after the other."""

import asyncio
import itertools
import json
import logging

import pytest
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.readers.base import ReaderConfig
from llama_index.core.schema import MetadataMode
from pydantic import ValidationError

from drehr_rag import ward
from drehr_rag.errors import NoNotes, NoteError, NoteRejected, UnknownName
from drehr_rag.integrations.llama_index import DrEhrNodeParser, EhrNoteReader
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.testing import HashEncoder


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f"{note.model_dump_json()}\n" for note in ward.notes()))
    return path


def test_a_note_is_a_document(file):
    notes, documents = ward.notes(), EhrNoteReader().load_data(file)
    assert [d.id_ for d in documents] == [note.note_id for note in notes]
    for note, document in zip(notes, documents, strict=True):
        assert document.text == note.text
        assert document.metadata["patient_id"] == note.patient_id
        assert document.metadata["note_id"] == note.note_id
        assert document.metadata["written_at"] == note.written_at.isoformat()
        assert document.get_content(MetadataMode.EMBED) == note.text
        assert note.patient_id not in document.get_metadata_str(MetadataMode.LLM).split(": ")
    assert asyncio.run(EhrNoteReader().aload_data(file)) == documents


def test_notes_are_read_one_by_one(file, monkeypatch):
    read = []

    def counting(*args, **kwargs):
        for row in read_notes(*args, **kwargs):
            read.append(row)
            yield row

    monkeypatch.setattr("drehr_rag.integrations.llama_index.reader.read_notes", counting)
    assert len(list(itertools.islice(EhrNoteReader().lazy_load_data(file), 3))) == 3
    assert len(read) == 3


ROW = {"note_id": "n1", "patient_id": "p1", "text": "Gout."}
MIMIC3 = (
    "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,CATEGORY,ISERROR,TEXT\n1,7,8,,,Nursing,,Gout.\n"
)
MIMIC4 = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
FHIR = {
    "resourceType": "DocumentReference",
    "id": "n1",
    "status": "current",
    "subject": {"reference": "Patient/p1"},
    "content": [{"attachment": {"contentType": "text/plain", "data": "R291dC4="}}],
}


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.jsonl", json.dumps(ROW), "jsonl"),
        ("a.csv", "note_id,patient_id,text\nn1,p1,Gout.\n", "csv"),
        ("NOTEEVENTS.csv", MIMIC3, "mimic3"),
        ("discharge.csv", MIMIC4 + "n1,7,8,DS,1,2180-05-07,,Gout.\n", "mimic4"),
        ("p1/n1.txt", "Gout.", "text"),
        ("a.json", json.dumps(FHIR), "fhir"),
    ],
)
def test_every_format(tmp_path, name, content, format):
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    place = tmp_path / "data" if format == "text" else path
    for reader in (EhrNoteReader(), EhrNoteReader(format=format)):
        (document,) = reader.load_data(place)
        (note,) = read_notes(place)
        assert (document.id_, document.text) == (note.note_id, "Gout.")
        assert document.metadata["patient_id"] == note.patient_id


def test_rows_that_cannot_be_read_are_told_and_kept_without_their_text(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    bad = {"note_id": "n2", "text": "secret words"}
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps(bad)}\n")
    reader = EhrNoteReader()
    with caplog.at_level(logging.WARNING):
        (document,) = reader.load_data(path)
    assert document.id_ == "n1"
    (reject,) = reader.rejects
    assert (reject.line, "patient_id" in reject.reason) == (2, True)
    assert "a.jsonl:2" in caplog.text and "secret" not in caplog.text
    with pytest.raises(NoteRejected, match=r"a\.jsonl:2") as error:
        EhrNoteReader(strict=True).load_data(path)
    assert "secret" not in str(error.value)
    path.write_text(json.dumps(bad))
    with pytest.raises(NoNotes, match="none of 1 rows"):
        reader.load_data(path)


def test_columns_can_be_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,who,words,ward\nn1,p1,Gout.,B2\n")
    columns = {"note_id": "id", "patient_id": "who", "text": "words"}
    fields = Fields(columns=columns, metadata=("ward",))
    (document,) = EhrNoteReader(fields=fields).load_data(path, extra_info={"ward": "x", "y": 1})
    assert document.metadata["ward"] == "B2"
    assert document.metadata["y"] == 1
    assert set(document.excluded_embed_metadata_keys) == set(document.metadata)


def test_errors(tmp_path):
    with pytest.raises(NoteError, match="no file"):
        EhrNoteReader().load_data(tmp_path / "none.jsonl")
    with pytest.raises(UnknownName, match="no reader"):
        EhrNoteReader(format="pdf").load_data(tmp_path)
    with pytest.raises(ValidationError):
        EhrNoteReader(patients=["p1"])


def test_as_a_part_of_llama_index(file):
    """A folder reader's extractor, and a pipeline's reader; and its settings can be saved."""
    folder = SimpleDirectoryReader(
        file.parent, file_extractor={".jsonl": EhrNoteReader(format="jsonl")}
    )
    found = folder.load_data()
    assert {d.metadata["note_id"] for d in found} == {note.note_id for note in ward.notes()}
    assert found[0].metadata["file_name"] == "notes.jsonl"
    config = ReaderConfig(reader=EhrNoteReader(), reader_args=[str(file)])
    parser = DrEhrNodeParser(encoder=HashEncoder())
    nodes = IngestionPipeline(transformations=[parser], readers=[config]).run()
    assert {node.ref_doc_id for node in nodes} == {note.note_id for note in ward.notes()}
    assert EhrNoteReader.from_dict(EhrNoteReader(format="csv").to_dict()).format == "csv"
