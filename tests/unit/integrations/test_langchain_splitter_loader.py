"""From a file of notes to passages in a store, by LangChain's steps or by the core's: the same."""

import asyncio
import json
import logging
import uuid

import pytest
from framework_notes import few_notes
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from drehr_rag import AllPatients, EhrIndex, Fields, Note, Patient, ward
from drehr_rag._registry import names
from drehr_rag.errors import (
    BadArgument,
    NoNotes,
    NoteError,
    NoteRejected,
    StoreMissing,
    UnknownName,
)
from drehr_rag.integrations import _adoption
from drehr_rag.integrations.langchain import (
    DrEhrEmbeddings,
    DrEhrTextSplitter,
    DrEhrVectorStore,
    EhrNoteLoader,
    QdrantCollectionLoader,
)
from drehr_rag.notes.readers import read_notes
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")
QUERIES = ["heart failure", "kidney injury", "anticoagulation", "penicillin"]


def embedding():
    return DrEhrEmbeddings.of(HashEncoder(dimension=64, max_tokens=256))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(note.model_dump_json() for note in ward.notes()) + "\n")
    return path


# --- loader


def test_every_note_with_its_untouched_text(file):
    loader = EhrNoteLoader(file)
    documents = loader.load()
    for note, document in zip(ward.notes(), documents, strict=True):
        assert (document.id, document.page_content) == (note.note_id, note.text)
        assert document.metadata["patient_id"] == note.patient_id
        assert document.metadata["written_at"] == note.written_at.isoformat()
        assert set(document.metadata) <= {"note_id", "patient_id", "encounter_id", "note_type",
            "encounter_start", "encounter_end", "written_at", *note.metadata}  # fmt: skip
        json.dumps(document.metadata)
    assert loader.rejects == []


ROW = {"note_id": "n1", "patient_id": "p1", "text": "Gout."}
MIMIC3 = "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,CATEGORY,ISERROR,TEXT\n"
MIMIC4 = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
FHIR = {
    "resourceType": "DocumentReference",
    "id": "n1",
    "status": "current",
    "subject": {"reference": "Patient/p1"},
    "content": [{"attachment": {"contentType": "text/plain", "data": "R291dC4="}}],
}
FORMATS = {
    "jsonl": ("a.jsonl", json.dumps(ROW)),
    "csv": ("a.csv", "note_id,patient_id,text\nn1,p1,Gout.\n"),
    "mimic3": ("NOTEEVENTS.csv", MIMIC3 + "1,7,8,,,Nursing,,Gout.\n"),
    "mimic4": ("discharge.csv", MIMIC4 + "n1,7,8,DS,1,2180-05-07,,Gout.\n"),
    "text": ("p1/n1.txt", "Gout."),
    "fhir": ("a.json", json.dumps(FHIR)),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("named", [True, False])
def test_every_format(tmp_path, format, named):
    """Named or recognised, the documents are the notes that the core's reader gives."""
    name, content = FORMATS[format]
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    place = tmp_path / "data" if format == "text" else path
    (document,) = EhrNoteLoader(place, format=format if named else None).load()
    (note,) = read_notes(place, format=format)
    assert (document.id, document.page_content) == (note.note_id, "Gout.")
    assert document.metadata["patient_id"] == note.patient_id
    assert note.patient_id in ("p1", "7")


def test_every_reader_has_a_format_here():
    assert set(names("drehr_rag.notes.readers")) == set(FORMATS)


async def test_it_is_lazy_and_awaitable(file):
    loader = EhrNoteLoader(file)
    assert next(loader.lazy_load()).id == ward.notes()[0].note_id
    assert await loader.aload() == loader.load()


def test_rows_that_cannot_be_read_are_set_aside(tmp_path, caplog):
    path = tmp_path / "notes.csv"
    path.write_text("subject,id,body\n1,n1,Stroke.\n,n2,Sepsis.\n3,n3,Pneumonia.\n")
    fields = Fields({"patient_id": "subject", "note_id": "id", "text": "body"})
    loader = EhrNoteLoader(path, format="csv", fields=fields)
    with caplog.at_level(logging.WARNING):
        assert [document.id for document in loader.load()] == ["n1", "n3"]
        assert [document.id for document in loader.load()] == ["n1", "n3"]
    assert [(reject.line, reject.note_id) for reject in loader.rejects] == [(3, "n2")]
    assert "1 rows could not be read" in caplog.text and "Sepsis" not in caplog.text
    read = EhrNoteLoader(path, fields=fields, strict=True).lazy_load()
    assert next(read).id == "n1"
    with pytest.raises(NoteRejected, match=r"notes\.csv:3: patient_id"):
        next(read)


def test_nothing_to_read_is_an_error(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"note_id": 1}\n{"note_id": 2}\n')
    with pytest.raises(NoNotes, match="none of 2 rows is a note"):
        EhrNoteLoader(path).load()
    with pytest.raises(NoteError, match="there is no file"):
        EhrNoteLoader(tmp_path / "none").load()
    with pytest.raises(UnknownName):
        EhrNoteLoader(path, format="word").load()


# --- splitter


@pytest.mark.parametrize(
    ("chunker", "options"),
    [("sections", {}), ("sections", {"target_tokens": 20}), ("words", {"cleaning": "cliniq"})],
)
async def test_the_same_passages_as_the_core(file, chunker, options):  # fmt: skip
    """Ids, texts, offsets, sections; and the same hits for the same queries."""
    with EhrIndex.open(":memory:", encoder=embedding().encoder, chunker=chunker,
                       chunker_options=options) as core:  # fmt: skip
        core.add(file)
        splitter = DrEhrTextSplitter(embedding(), chunker=chunker, **options)
        pieces = splitter.split_documents(EhrNoteLoader(file).lazy_load())
        store = DrEhrVectorStore.open(":memory:", embedding=embedding(), scope=EVERYBODY)
        await store.aadd_documents(pieces)
        theirs = {chunk.chunk_id: chunk for chunk in core.store.scan(scope=EVERYBODY)}
        ours = {chunk.chunk_id: chunk for chunk in store.index.store.scan(scope=EVERYBODY)}
        assert ours.keys() == theirs.keys() and len(ours) > 100
        same = ("note_id", "patient_id", "encounter_id", "text", "section", "note_type",
                "written_at")  # fmt: skip
        for chunk_id, chunk in ours.items():
            assert [getattr(chunk, n) for n in same] == [getattr(theirs[chunk_id], n) for n in same]
        for query in QUERIES:
            for scope in (EVERYBODY, Patient("p01"), Patient("p08")):
                hits = core.search(query, scope=scope, k=5)
                found = store.similarity_search_with_score(query, k=5, scope=scope)
                assert [d.id for d, _ in found] == [hit.chunk.chunk_id for hit in hits]
                expected = pytest.approx([hit.score for hit in hits], abs=1e-4)
                assert [score for _, score in found] == expected
    texts = {note.note_id: note.text for note in ward.notes()}
    for piece in pieces:
        known = piece.metadata
        source = texts[known["note_id"]][known["start"] : known["end"]]
        assert (source == piece.page_content) or chunker == "words"
        assert source.split()[0][:3] == piece.page_content.split()[0][:3] or chunker == "words"
    assert await splitter.atransform_documents(EhrNoteLoader(file).load()) == pieces


def test_metadata_stays_and_documents_need_nobody():
    splitter = DrEhrTextSplitter(embedding())
    document = Document(page_content="PLAN:\nRest.\n\nALLERGIES:\nNone.",
                        metadata={"source": "a.pdf", "deep": {"n": [1]}})  # fmt: skip
    pieces = splitter.split_documents([document])
    assert [piece.metadata["section"] for piece in pieces] == ["plan", "allergies"]
    assert all(piece.metadata["source"] == "a.pdf" for piece in pieces)
    pieces[0].metadata["deep"]["n"].append(2)
    assert document.metadata == {"source": "a.pdf", "deep": {"n": [1]}}
    assert pieces[1].metadata["deep"] == {"n": [1]}
    assert "patient_id" not in pieces[0].metadata
    again = splitter.split_documents([document])
    assert [piece.id for piece in again] == [piece.id for piece in pieces]
    other = document.model_copy(update={"metadata": {"source": "b.pdf"}})
    assert not {p.id for p in splitter.split_documents([other])} & {p.id for p in pieces}


def page(number=None, name=None, text="PLAN:\nThis page is left blank.", **metadata):
    pages = {} if number is None else {"page": number}
    return Document(
        text, id=name, metadata={"note_id": "n1", "patient_id": "p1"} | pages | metadata
    )


@pytest.mark.parametrize(
    "pages",
    [
        [page(0), page(1)],
        [page(name="n1/0"), page(name="n1/1")],
        [page(name="n1"), page(name="n1/1")],
        [page(0), page(name="n1")],
        [Document("Blank.", id="a"), Document("Blank.", id="b")],
    ],
    ids=["metadata", "ids", "the note and a page", "metadata and id", "no note"],
)
def test_two_pages_of_the_same_words_are_two(pages):
    """In one call or one after the other, and the same again: neither takes the other's place."""
    splitter = DrEhrTextSplitter(embedding())
    pieces = splitter.split_documents(pages)
    assert len({piece.id for piece in pieces}) == 2
    assert [p for one in pages for p in splitter.split_documents([one])] == pieces
    store = DrEhrVectorStore.open(":memory:", embedding=embedding(), scope=EVERYBODY)
    for _ in range(2):
        for one in pages:
            store.add_documents(splitter.split_documents([one]))
    assert store.get_by_ids([piece.id for piece in pieces]) == pieces
    assert store.index.info()["chunks"] == 2
    if "note_id" in pages[0].metadata:
        assert {piece.metadata["note_id"] for piece in pieces} == {"n1"}
        assert store.index.delete_notes(["n1"]) == 2


def test_pages_that_nothing_tells_apart_are_one_or_refused():
    splitter = DrEhrTextSplitter(embedding())
    once, twice = splitter.split_documents([page(0)]), splitter.split_documents([page(0), page(0)])
    assert twice == [*once, *once]
    with pytest.raises(BadArgument, match=r"documents\[2\] differs from another of the same id"):
        splitter.split_documents([page(name="n1"), page(7), page(8, name="n1")])


def test_the_same_words_twice_in_a_note_stay_two_when_split_again():
    note = "PLAN:\nRest. Fluids.\n\nPLAN:\nRest. Fluids.\n"
    coarse, fine = DrEhrTextSplitter(embedding()), DrEhrTextSplitter(embedding(), target_tokens=1)
    pieces = fine.split_documents(coarse.split_documents([Document(note, id="n1")]))
    assert len({piece.id for piece in pieces}) == len(pieces) == 6
    assert {piece.metadata["note_id"] for piece in pieces} == {"n1"}


def test_a_piece_of_a_note_that_is_split_again_keeps_its_place():
    note = few_notes()[0]
    coarse, fine = DrEhrTextSplitter(embedding()), DrEhrTextSplitter(embedding(), target_tokens=3)
    for piece in fine.split_documents(coarse.split_documents([Document(note.text)])):
        known = piece.metadata
        assert note.text[known["start"] : known["end"]] == piece.page_content
    assert len(fine.split_text(note.text)) > len(coarse.split_text(note.text)) == 2
    made = coarse.create_documents([note.text], [{"a": 1}])
    assert [d.metadata["a"] for d in made] == [1, 1]


@pytest.mark.parametrize("text", ["", " \n"])
def test_documents_without_words_are_refused(text):
    with pytest.raises(BadArgument, match=r"documents\[1\] holds no text"):
        DrEhrTextSplitter(embedding()).split_documents([Document("x"), Document(text)])
    with pytest.raises(BadArgument, match=r"documents\[0\]: no words are left"):
        DrEhrTextSplitter(chunker="words").split_documents([Document("[**Name**] ____")])
    for wrong in ("text", Document("x"), ["text"], None):
        with pytest.raises(BadArgument, match="documents"):
            DrEhrTextSplitter(chunker="words").split_documents(wrong)


def test_who_counts_tokens_must_be_said():
    with pytest.raises(BadArgument, match="name the embedding"):
        DrEhrTextSplitter()
    assert DrEhrTextSplitter(chunker="words").split_text("a b c") == ["a b c"]
    with pytest.raises(UnknownName, match="takes only"):
        DrEhrTextSplitter(embedding(), chunk_size=100).split_text("x")
    assert DrEhrTextSplitter(embedding()).split_documents([]) == []


# --- a collection of langchain_qdrant


@pytest.fixture
def collection():
    client = QdrantClient(":memory:")
    client.create_collection("notes", models.VectorParams(size=64, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client, "notes", embedding())
    documents = [
        Document(page_content=note.text, metadata={"patient_id": note.patient_id, "n": number})
        for number, note in enumerate(few_notes())
    ]
    ids = store.add_documents(documents)
    return client, documents, ids


async def test_what_langchain_qdrant_stored_is_indexed_anew(collection):
    client, documents, ids = collection
    loader = QdrantCollectionLoader(client, "notes")
    store = DrEhrVectorStore.open(":memory:", embedding=embedding(), scope=EVERYBODY)
    written = store.add_documents(loader.lazy_load())
    named = [str(uuid.UUID(one)) for one in ids]  # it told them without hyphens
    assert sorted(written) == sorted(named)
    assert store.get_by_ids(named) == [
        document.model_copy(update={"id": chunk_id})
        for document, chunk_id in zip(documents, named, strict=True)
    ]
    found = store.similarity_search("heart failure", scope=Patient("p1"))
    assert {document.metadata["patient_id"] for document in found} == {"p1"}
    assert await loader.aload() == loader.load()


def test_more_than_a_page_of_points(collection, monkeypatch):
    monkeypatch.setattr(_adoption, "PAGE", 3)
    client, documents, _ = collection
    assert len(QdrantCollectionLoader(client, "notes").load()) == len(documents) == 4


def test_other_collections_are_errors(collection):
    client = collection[0]
    with pytest.raises(StoreMissing, match="no collection other"):
        QdrantCollectionLoader(client, "other").load()
    with pytest.raises(BadArgument, match="only metadata, page_content: name content_key"):
        QdrantCollectionLoader(client, "notes", content_key="text").load()


def test_notes_with_zones_say_the_same_time_everywhere():
    note = Note(note_id="n", patient_id="p", text="Stroke.", written_at="2180-01-01T00:00:00Z")
    from drehr_rag.integrations.langchain._documents import note_document

    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add([note])
        found = DrEhrVectorStore(index, scope=EVERYBODY).similarity_search("stroke")[0]
    assert note_document(note).metadata["written_at"] == found.metadata["written_at"]


async def test_splitting_leaves_the_loop_free(file):
    splitter = DrEhrTextSplitter(embedding())
    task = asyncio.create_task(splitter.atransform_documents(EhrNoteLoader(file).load()))
    await asyncio.sleep(0)
    assert not task.done()
    assert await task
