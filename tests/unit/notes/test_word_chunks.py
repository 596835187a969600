"""The paper's chunks, against the regexes of its authors and LangChain's own splitter."""

import gzip
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_text_splitters import CharacterTextSplitter

from drehr_rag.errors import UnknownName
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.notes.chunkers.words import WordChunker
from drehr_rag.types import Note

CLEANINGS = ["dr_ehr", "cliniq"]


def authors_cleaning(text, cleaning):
    """The preprocessing of DR.EHR and of CliniQ, as published."""
    text = re.sub(r"\[.*?\]", "", text)
    if cleaning == "dr_ehr":
        text = re.sub(r"___+", " ", text)
        text = re.sub(r"(\W)\1+", " ", text)
        return re.sub(r"\s+", " ", text).strip()
    text = text.replace("\n", " ")
    return re.sub(r" +", " ", text).strip()


def langchain_chunks(text, cleaning, size=100, overlap=10):
    splitter = CharacterTextSplitter(
        separator=" ",
        chunk_size=size,
        chunk_overlap=overlap,
        length_function=lambda words: len(words.split()),
    )
    return splitter.split_text(authors_cleaning(text, cleaning))


def chunks_of(text, cleaning, **sizes):
    note = Note(note_id="n1", patient_id="p1", text=text)
    (chunks,) = WordChunker(cleaning=cleaning, **sizes).split([note])
    return chunks


def check_offsets(text, chunks):
    for chunk in chunks:
        assert chunk.source == text[chunk.start : chunk.end]
        assert chunk.text.strip()
        place = chunk.start
        for character in "".join(chunk.text.split()):  # a mark may have stood inside a word
            place = text.index(character, place, chunk.end) + 1


# fmt: off
PIECES = st.sampled_from(
    [
        "gout", "toe", "5", "[**2151-7-16**]", "[", "]", "[a\nb]", "___", "__", "====", ">>",
        "--", " ", "  ", "\n", "\n\n", "\t", "\r\n", "\x0c", "\xa0", "\u2003", "\u2028", "\x1c",
        ".", ",", "Dr.", "a\tb\tc\td\te", "é", "🩺", "\u200b", "...",
    ]
)
# fmt: on
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join),
    st.lists(PIECES, max_size=40).map(" ".join),
    st.text(max_size=60),
).filter(str.strip)


@pytest.mark.parametrize("cleaning", CLEANINGS)
@given(text=TEXTS, size=st.integers(1, 6), overlap=st.integers(0, 5))
@example(text="\t a\tb\tc gout", size=2, overlap=0)
@example(text="gout \t a\tb\tc \t toe", size=2, overlap=1)
def test_random_texts_are_cut_as_langchain_cuts_them(cleaning, text, size, overlap):
    overlap = min(overlap, size - 1)
    chunks = chunks_of(text, cleaning, size=size, overlap=overlap)
    assert [c.text for c in chunks] == langchain_chunks(text, cleaning, size, overlap)
    check_offsets(text, chunks)


@pytest.fixture(scope="module")
def mtsamples(shared_data):
    path = shared_data / "notes" / "mtsamples_shared.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Note(note_id=row["note_id"], patient_id=row["sample_id"], text=row["text"]) for row in rows
    ]


@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_every_mtsamples_note_is_cut_as_langchain_cuts_it(mtsamples, cleaning):
    assert len(mtsamples) > 1600
    for note, chunks in zip(
        mtsamples, WordChunker(cleaning=cleaning).split(mtsamples), strict=True
    ):
        assert [c.text for c in chunks] == langchain_chunks(note.text, cleaning), note.note_id
        check_offsets(note.text, chunks)


def test_an_example_with_marks():
    text = "Seen [**2151-7-16**] by Dr.[**Name**]Lee\n\n====\nGout___toe"
    (chunk,) = chunks_of(text, "dr_ehr")
    assert chunk.text == "Seen by Dr.Lee Gout toe"
    assert (chunk.start, chunk.end) == (0, len(text))
    (chunk,) = chunks_of(text, "cliniq")
    assert chunk.text == "Seen by Dr.Lee ==== Gout___toe"


def test_overlap_and_offsets_of_an_example():
    text = "one two three four five"
    chunks = chunks_of(text, "dr_ehr", size=3, overlap=1)
    assert [c.text for c in chunks] == ["one two three", "three four five"]
    assert [(c.start, c.end) for c in chunks] == [(0, 13), (8, 23)]
    assert chunks[0].section is None


def test_a_note_of_marks_alone_has_no_chunk():
    assert chunks_of("[**Name**] ___", "dr_ehr") == []


def test_ids_follow_from_content_and_settings():
    def ids(text="gout " * 250, **options):
        return [c.chunk_id for c in chunks_of(text, **{"cleaning": "dr_ehr", **options})]

    assert ids() == ids()
    assert len(set(ids())) == 3
    assert not set(ids()) & set(ids(cleaning="cliniq"))
    assert not set(ids()) & set(ids(overlap=9))
    assert not set(ids()) & set(ids(text="toes " * 250))


def load(**options):
    return load_chunker("words", count_tokens=lambda texts: [], max_tokens=9, **options)


def test_options():
    assert load(cleaning="cliniq").settings == {
        "chunker": "words",
        "cleaning": "cliniq",
        "size": 100,
        "overlap": 10,
    }
    with pytest.raises(UnknownName, match="no cleaning is called 'none'"):
        load(cleaning="none")
    with pytest.raises(UnknownName, match="sise"):
        load(sise=5)
    with pytest.raises(UnknownName, match=r"no chunker is called 'word'.*Did you mean 'words'"):
        load_chunker("word", count_tokens=lambda texts: [], max_tokens=9)
    for size, overlap in [(10, 10), (5, -1)]:
        with pytest.raises(ValueError, match="overlap"):
            load(size=size, overlap=overlap)
