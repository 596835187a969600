"""GENIE's replies: read, mended or set aside, and counted; asked for on a server that fails."""

import json

import pytest
from chat_server import chat_server
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import GeneratorError
from drehr_rag.generators import load_generator
from drehr_rag.notes.genie import PROMPT, structured, structured_by

NOTE = (
    "Denies chest pain. Fever of 38.5 C since Monday; no rash.\nMother had gout. Chest  Pain again."
)


def entry(phrase, status="present", **more):
    return {"phrase": phrase, "assertion_status": status, **more}


def said(found):
    return [(NOTE[one.start : one.end], one.status) for one in found.mentions]


WHOLE = [
    entry("chest pain", "absent"),
    entry("fever", value="38.5", unit="C", modifier="", body_location=None),
    entry("rash", "absent"),
    entry("gout", "not associated"),
    entry("chest pain", "Present"),
]


def test_phrases_are_found_where_they_stand_each_place_once():
    found = structured(NOTE, json.dumps(WHOLE))
    assert said(found) == [
        ("chest pain", "negated"),
        ("Fever", "present"),
        ("rash", "negated"),
        ("gout", "family"),
        ("Chest  Pain", "present"),
    ]
    assert found.lost == {}
    assert found.mentions[1].told == {"value": "38.5", "unit": "C"}
    assert "38.5" not in repr(found)


def test_what_is_not_in_the_note_is_counted_never_placed():
    found = structured(
        NOTE, json.dumps([entry("cough"), entry("gout"), entry("gout"), entry("as")])
    )
    assert said(found) == [("gout", "present")]
    assert found.lost == {"not in the note": 3}


@pytest.mark.parametrize(
    ("reply", "lost"),
    [
        (json.dumps(WHOLE)[:-20], {"not readable": 1}),
        (f"Here it is:\n```json\n{json.dumps(WHOLE)}\n```", {}),
        (json.dumps(WHOLE).replace("}, {", "},, {"), {}),
        (json.dumps(WHOLE).replace('"rash"', '"rash'), {"not readable": 1}),
        (json.dumps({"list": WHOLE[:1]}), {"without a phrase": 1}),
        (json.dumps([entry(7), entry("..."), {}]), {"without a phrase": 3}),
        (json.dumps([entry("gout", "perhaps")]), {"unknown assertion": 1}),
        ("[]", {}),
        ("I cannot do that.", {"no list": 1}),
        ("", {"no list": 1}),
        ("{" * 100_000, {"not readable": 1}),
    ],
)
def test_a_broken_reply_costs_no_more_than_what_is_broken(reply, lost):
    found = structured(NOTE, reply)
    assert found.lost == lost
    mended = json.dumps(WHOLE).count("phrase") - sum(lost.values())
    assert len(found.mentions) == (
        mended if "chest pain" in reply and "list" not in reply else int("gout" in reply)
    )


def test_a_reply_without_end_is_left_in_the_end():
    found = structured("gout " * 6_000, json.dumps([entry("gout")] * 6_000))
    assert (len(found.mentions), found.lost) == (5_000, {"too many": 1})


@settings(max_examples=50, deadline=None)
@given(
    note=st.text(max_size=40),
    phrases=st.lists(st.text(max_size=6), max_size=5),
    cut=st.integers(0, 99),
)
def test_whatever_is_said_places_lie_in_the_note(note, phrases, cut):
    phrases = [*phrases, note[3:9]]
    found = structured(note, json.dumps([entry(phrase) for phrase in phrases])[: 40 + cut])
    given_ = {" ".join(phrase.lower().split()) for phrase in phrases}
    for one in found.mentions:
        assert 0 <= one.start < one.end <= len(note)
    assert len(found.mentions) + sum(found.lost.values()) <= len(given_) + len(phrases) + 2


def asked(server):
    with load_generator("openai", url=server.url, retries=1, timeout=5) as client:
        return structured_by(client, NOTE, max_tokens=77)


def test_a_server_is_asked_as_genies_authors_ask():
    with chat_server(lambda *_: json.dumps(WHOLE)) as server:
        found = asked(server)
    assert len(found.mentions) == 5
    assert server.prompts == [PROMPT.format(note=NOTE)]
    assert server.prompts[0].startswith("Human:\nDenies") and server.prompts[0].endswith(
        "Assistant:"
    )
    assert server.bodies[0]["max_tokens"] == 77


def test_a_cut_reply_is_read_as_far_as_it_goes():
    text = json.dumps(WHOLE)[:100]
    choice = {"choices": [{"text": text, "finish_reason": "length"}]}
    with chat_server(lambda *_: json.dumps(choice).encode()) as server:
        found = asked(server)
    assert said(found) == [("chest pain", "negated")]
    assert found.lost == {"cut": 1, "not readable": 1}


@pytest.mark.parametrize("fault", [500, 401, None, b"no json"])
def test_a_server_that_fails_is_an_error_without_the_note(fault):
    with chat_server(lambda *_: fault) as server, pytest.raises(GeneratorError) as caught:
        asked(server)
    assert "chest" not in f"{caught.value!r}"


def test_one_that_fails_once_is_asked_again():
    with chat_server(lambda _, number: 503 if number == 1 else json.dumps(WHOLE)) as server:
        found = asked(server)
    assert (len(found.mentions), len(server.prompts)) == (5, 2)
