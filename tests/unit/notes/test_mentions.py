"""A note may come with its mentions: checked at the edge, found again in every chunk."""

import csv
import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drehr_rag.errors import BadArgument
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.notes.readers import read_notes
from drehr_rag.notes.told import covering, told
from drehr_rag.types import Chunk, Mention, Note, Reject

TEXT = "Denies chest pain. Zebedee has gout."
PAIN = {"start": 7, "end": 17, "status": "present"}
ROW = {"note_id": "n1", "patient_id": "p1", "text": TEXT}


def note(mentions=(), text=TEXT):
    return Note(note_id="n1", patient_id="p1", text=text, mentions=mentions)


def test_mentions_stand_in_order_each_once():
    gout = Mention(31, 35, "negated")
    made = note([gout, PAIN, Mention(**PAIN), gout])
    assert made.mentions == (Mention(7, 17, "present"), gout)
    assert Note.model_validate_json(made.model_dump_json()) == made
    assert "31" not in repr(made)


def test_a_note_without_mentions_is_what_it_was():
    """Its digest, too, or every index would be made again."""
    dumped = note().model_dump(mode="json")
    assert "mentions" not in dumped and list(dumped) == list(Note.model_fields)[:-1]
    digest = sha256(json.dumps(dumped, sort_keys=True).encode()).hexdigest()
    assert digest.startswith("bf41d9ad")  # as before notes could have mentions


BAD = [
    ([{**PAIN, "end": 99}], "reach to 99, but the text has 36 characters"),
    ([{**PAIN, "end": 7}], "from 7 to 7 is no stretch"),
    ([{**PAIN, "start": -1}], "from -1 to 17 is no stretch"),
    ([PAIN, {**PAIN, "start": "Zebedee"}], "(number 2): start and end of a mention are whole"),
    ([{**PAIN, "start": 7.5}], "whole numbers"),
    ([{**PAIN, "status": "Zebedee"}], "status of a mention is one of present, negated,"),
    ([{"start": 7, "end": 17}], "(number 1) has not start, end and status"),
    (["Zebedee"], "(number 1) has not start, end and status"),
    ("Zebedee", "broken JSON"),
    ("7", "is no list of mentions"),
    (PAIN, "is no list of mentions"),
    (7, "is no list of mentions"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_what_is_no_mention_is_refused_without_the_note(bad, reason, tmp_path):
    with pytest.raises(ValidationError) as caught:
        note(bad)
    assert reason in str(caught.value) and "Zebedee" not in str(caught.value)
    file = tmp_path / "notes.jsonl"
    file.write_text(json.dumps({**ROW, "mentions": bad}) + "\n")
    (reject,) = read_notes(file)
    assert isinstance(reject, Reject) and reject.reason.startswith("mentions ")
    assert reason in reject.reason and "Zebedee" not in reject.reason


def test_a_mention_alone_is_checked_too():
    with pytest.raises(BadArgument, match="is one of present"):
        Mention(0, 3, "absent")


@pytest.mark.parametrize("blank", [None, [], ""])
def test_there_may_be_none(blank, tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text(json.dumps({**ROW, "mentions": blank}) + "\n")
    assert [one.mentions for one in read_notes(file)] == [()]


def test_a_table_holds_them_as_json(tmp_path):
    file = tmp_path / "notes.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*ROW, "mentions"])
        writer.writerow([*ROW.values(), json.dumps([PAIN])])
        writer.writerow(["n2", "p1", TEXT, ""])
    assert [one.mentions for one in read_notes(file)] == [(Mention(**PAIN),), ()]


PIECES = ["chest pain", "[**2180-5-7**]", "___", "fever", "\n\nPLAN:\n", "\r\n", ". ", ", no ",
          " é ", "gout of the left great toe. " * 9]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12),
    chunker=st.sampled_from(["sections", "words"]),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_in_every_chunk_a_mention_covers_the_same_words(pieces, chunker, cuts):
    text = f"Note {' '.join(pieces)}"
    spans = [(a, min(a + 11, len(text))) for a in cuts if a < len(text)]
    made = note([Mention(a, b, "possible") for a, b in spans], text)
    options = {"size": 20, "overlap": 5} if chunker == "words" else {"target_tokens": 30}
    split = load_chunker(
        chunker, count_tokens=lambda ts: [len(t.split()) for t in ts], max_tokens=64, **options
    )
    for chunk in split.split([made])[0]:
        inside = [one for one in made.mentions if chunk.start <= one.start <= one.end <= chunk.end]
        assert list(chunk.mentions) == inside
        for one in chunk.mentions:
            start, end = one.start - chunk.start, one.end - chunk.start
            assert chunk.source[start:end] == text[one.start : one.end]
            assert told(chunk, [(start, end)]) == ["possible"]


def test_the_shortest_that_holds_the_words_speaks_and_presence_wins_a_tie():
    mentions = [Mention(0, 20, "historical"), Mention(5, 10, "negated"), Mention(5, 9, "family"),
                Mention(12, 15, "negated"), Mention(12, 15, "present")]  # fmt: skip
    assert covering(mentions, 5, 10) == "negated"
    assert covering(mentions, 5, 8) == "family"
    assert covering(mentions, 9, 12) == "historical"
    assert covering(mentions, 12, 15) == "present"
    assert covering(mentions, 15, 21) is None


def test_rules_read_what_no_mention_holds():
    chunk = Chunk("c", "n", "p", 100, 136, TEXT, TEXT, mentions=(Mention(131, 135, "possible"),))
    assert told(chunk, [(7, 17), (31, 35)]) == ["negated", "possible"]
    assert told(chunk, []) == []
