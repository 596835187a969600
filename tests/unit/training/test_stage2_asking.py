"""Stage 2 against a server that is busy, breaks off, cuts, rambles or speaks another language."""

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from chat_server import chat_server
from unit.training import stage2_child

from drehr_rag.errors import BadArgument, DrehrError, GeneratorError, TrainingError, UnknownName
from drehr_rag.training.chat import Chat
from drehr_rag.training.chat_replies import Reply, Silence
from drehr_rag.training.examples import read_examples
from drehr_rag.training.leakage import Guard, HeldOutIds
from drehr_rag.training.stage2.asking import TYPES, Asking
from drehr_rag.types import Chunk

SECRET = "Mrs Quillfeather has gout"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)


def type_of(prompt):
    return next(
        name for name in TYPES if prompt.split("\n\n")[1].startswith(f"List the {name[:7]}")
    )


def chunk(text=SECRET):
    return Chunk("n1_0", "n1", None, 0, len(text), text, text)


def outcome_of(say, *, retries=1, form="bullets", types=TYPES, text=SECRET):
    async def ask(url):
        async with Chat(url, retries=retries) as chat:
            return await Asking(chat, form=form, types=types)(chunk(text))

    with chat_server(say) as server:
        return asyncio.run(ask(server.url)), server


def by_type(**said):
    return lambda prompt, _: said.get(type_of(prompt), "None")


def test_one_request_for_each_type():
    outcome, server = outcome_of(
        by_type(diagnosis="- Gout\n- Fever", procedure="None", prescription="- Colchicine\n- gout")
    )
    assert outcome.example.entities == ("Gout", "Fever", "Colchicine")
    assert outcome.example.idx == "n1_0"
    assert outcome.counts == {
        "requests": 3,
        "entities: diagnosis": 2,
        "entities: procedure": 0,
        "entities: prescription": 2,
        "refused: says there is none": 1,
    }
    assert outcome.failures == ()
    assert sorted(map(type_of, server.prompts)) == sorted(TYPES)
    for body in server.bodies:
        assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.1, 512, 0)
        assert (body["model"], "response_format" in body) == ("tiny-chat", False)
        [message] = body["messages"]
        assert message["content"].endswith(f"Passage:\n{SECRET}")
        assert 'each line beginning with "- "' in message["content"]


def test_a_passage_with_braces_is_sent_as_it_is():
    text = "BP {form} {passage} {0} 120/80"
    _, server = outcome_of(by_type(), text=text)
    assert all(prompt.endswith(f"Passage:\n{text}") for prompt in server.prompts)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("The patient has gout.", "prose, not a list"),
        ("患者患有痛风。", "in another script"),
        ("", "an empty reply"),
        (
            {"message": {"content": "- go"}, "finish_reason": "length"},
            "cut before the first entity",
        ),
        ({"message": {"content": None}}, "the server sent a reply without text"),
        ({"text": "- gout"}, "the server sent a reply without text"),
        (400, "the server answered 400"),
        (500, "the server answered 500"),
        (429, "the server answered 429"),
        (b"<html>", "the server sent something that is not JSON"),
        (b"[1]", "the server sent a reply without text"),
        (None, "the server does not answer (RemoteProtocolError)"),
    ],
)
def test_a_type_that_fails_does_not_lose_the_others(said, why):
    outcome, _ = outcome_of(
        by_type(diagnosis="- Gout", procedure=said, prescription="- Colchicine")
    )
    assert outcome.example.entities == ("Gout", "Colchicine")
    assert outcome.failures == (f"procedure: {why}",)
    assert outcome.answered
    assert outcome.again == (said in (500, 429, b"<html>", None))
    assert "Quillfeather" not in repr(outcome)


def test_what_is_cut_keeps_its_whole_lines():
    cut = {"message": {"content": "- Gout\n- Feve"}, "finish_reason": "length"}
    outcome, _ = outcome_of(by_type(diagnosis=cut))
    assert outcome.example.entities == ("Gout",)
    assert outcome.counts["refused: cut off"] == 1


def test_half_of_a_surrogate_pair_does_not_stop_the_build():
    said = json.dumps({"choices": [{"message": {"content": "- Gout\ud800"}}]}).encode()
    outcome, _ = outcome_of(by_type(diagnosis=said))
    assert outcome.example.entities == ("Gout",)


@pytest.mark.parametrize("fault", [429, 503, None, b"<html>"])
def test_what_passes_is_tried_again(fault):
    seen = {}

    def say(prompt, _):
        seen[prompt] = seen.get(prompt, 0) + 1
        return fault if seen[prompt] < 3 else "- Gout"

    outcome, server = outcome_of(say, retries=2)
    assert outcome.example.entities == ("Gout",)
    assert outcome.failures == ()
    assert len(server.prompts) == 9


def test_what_does_not_pass_is_asked_once():
    outcome, server = outcome_of(lambda *_: 400, retries=5)
    assert len(server.prompts) == 3
    assert (outcome.example, len(outcome.failures)) == (None, 3)
    assert (outcome.answered, outcome.again) == (False, False)


def test_a_server_that_is_gone_is_not_the_chunks_fault():
    outcome, _ = outcome_of(lambda *_: 503)
    assert (outcome.answered, outcome.again) == (False, True)


def test_nothing_found_is_no_failure():
    outcome, _ = outcome_of(by_type())
    assert (outcome.example, outcome.failures) == (None, ())
    assert outcome.counts["chunks without entities"] == 1


def test_replies_by_a_schema():
    outcome, server = outcome_of(
        by_type(
            diagnosis='{"entities": ["Gout"]}',
            procedure='{"entities": []}',
            prescription='{"entities": ["Col',
        ),
        form="json",
    )
    assert outcome.example.entities == ("Gout",)
    assert outcome.failures == ("prescription: not JSON",)
    for body in server.bodies:
        schema = body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["entities"]["maxItems"] == 16
        assert '{"entities": ["name", "name"]}' in body["messages"][0]["content"]


def test_only_some_types():
    outcome, server = outcome_of(by_type(diagnosis="- Gout"), types=("diagnosis", "diagnosis"))
    assert len(server.prompts) == outcome.counts["requests"] == 1


def test_names_that_nothing_has():
    chat = Chat("http://localhost:1")
    with pytest.raises(UnknownName, match="no type is called 'drug'"):
        Asking(chat, types=["drug"])
    with pytest.raises(UnknownName, match="no form is called 'xml'"):
        Asking(chat, form="xml")
    with pytest.raises(BadArgument, match="at least one type"):
        Asking(chat, types=[])
    with pytest.raises(BadArgument, match="concurrency"):
        Chat("http://localhost:1", concurrency=0)


def test_a_server_that_is_not_there_is_an_error_before_anything_is_asked():
    async def opened():
        async with Chat("http://127.0.0.1:9", retries=0):
            pass

    with pytest.raises(GeneratorError, match="does not answer"):
        asyncio.run(opened())


def test_no_more_requests_in_flight_than_allowed():
    now, most, lock = 0, 0, threading.Lock()

    def say(*_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return "- Gout"

    async def ask(url):
        async with Chat(url, concurrency=3) as chat:
            return await asyncio.gather(*(chat.ask(f"p{i}") for i in range(20)))

    with chat_server(say) as server:
        replies = asyncio.run(ask(server.url))
    assert replies == [Reply("- Gout")] * 20
    assert 1 < most <= 3


def test_a_server_that_dribbles_is_too_late():
    async def ask(url):
        async with Chat(url, retries=0, timeout=0.2) as chat:
            return await chat.ask("p")

    with chat_server(lambda *_: time.sleep(0.6) or "- Gout") as server:
        assert asyncio.run(ask(server.url)) == Silence("does not answer within 0.2 s", True)


# -- builds ----------------------------------------------------------------------------------------


@pytest.fixture
def notes(tmp_path):
    rng = random.Random(3)
    file = tmp_path / "notes.jsonl"
    words = [f"word{i}" for i in range(300)]
    lines = [
        {"note_id": f"n{i}", "patient_id": "p", "text": " ".join(rng.choices(words, k=250))}
        for i in range(12)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def faulty(prompt, _):
    """The same for the same prompt, whenever it is asked; every fault occurs."""
    number = sum(map(ord, prompt))
    faults = [
        400,
        "The patient is well and has been seen.",
        {"message": {"content": "- Gout\n- Feve"}, "finish_reason": "length"},
        "患者患有痛风。",
        "None",
    ]
    return (
        faults[number % 5] if number % 3 == 0 else f"Here:\n- entity {number % 50}\n- N/A\n- Gout"
    )


def contents(output):
    found = {file.name: file.read_bytes() for file in Path(output).parent.iterdir()}
    manifest = json.loads(found.pop("out.manifest.json"))
    del manifest["seconds"]
    return found, manifest


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path, notes):
    whole, cut = tmp_path / "whole" / "out.jsonl.gz", tmp_path / "cut" / "out.jsonl.gz"
    whole.parent.mkdir()
    cut.parent.mkdir()
    with chat_server(faulty) as server:
        asyncio.run(stage2_child.build(server.url, notes, whole))
        asked = len(server.prompts)
    assert asked == 12 * 3 * 3
    slow = lambda *given: time.sleep(0.02) or faulty(*given)  # noqa: E731
    with chat_server(slow) as server:
        for _ in range(2):
            child = subprocess.Popen(
                [sys.executable, stage2_child.__file__, server.url, str(notes), str(cut)]
            )
            before = len(server.prompts)
            while len(server.prompts) < before + 20 and child.poll() is None:
                time.sleep(0.01)
            child.kill()
            child.wait()
        asyncio.run(stage2_child.build(server.url, notes, cut))
        again = len(server.prompts) - asked
    assert contents(cut) == contents(whole)
    assert 0 < again < asked / 2  # what was in flight is asked again, what is done is not
    manifest = contents(whole)[1]
    assert manifest["counts"]["requests"] == asked
    assert set(manifest["failures"]) >= {"diagnosis: the server answered 400"}
    failures = (whole.parent / "out.failures.jsonl").read_text()
    assert {json.loads(line)["idx"][0] for line in failures.splitlines()} == {"n"}
    assert "word" not in failures
    examples = list(read_examples(whole))
    assert len(examples) == manifest["examples"] > 20
    assert not any("N/A" in example.entities for example in examples)


def test_a_server_that_goes_away_stops_the_build_and_it_goes_on(tmp_path, notes):
    output = tmp_path / "out.jsonl"
    gone = threading.Event()

    def say(prompt, number):
        if number > 30:
            gone.set()
        return 503 if gone.is_set() else faulty(prompt, number)

    said = r"the last 10 chunks had no answer.*answered 503"
    with chat_server(say) as server, pytest.raises(TrainingError, match=said):
        asyncio.run(stage2_child.build(server.url, notes, output, retries=0))
    assert not output.exists()
    with chat_server(faulty) as server:
        manifest = asyncio.run(stage2_child.build(server.url, notes, output))
        assert len(server.prompts) < 108
    assert manifest["chunks"] == 36
    assert not any("503" in reason for reason in manifest["failures"])


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "no such model"), (400, "last 10")],
)
def test_a_wrong_key_or_model_makes_no_empty_build(tmp_path, notes, status, said):
    output = tmp_path / "out.jsonl"
    with chat_server(lambda *_: status) as server, pytest.raises(DrehrError) as caught:
        asyncio.run(stage2_child.build(server.url, notes, output))
    assert said in str(caught.value)
    assert f"answered {status}" in str(caught.value)
    assert "word" not in str(caught.value)
    assert not output.exists()
    with chat_server(faulty) as server:
        assert asyncio.run(stage2_child.build(server.url, notes, output))["chunks"] == 36
        assert len(server.prompts) == 108


def test_what_was_asked_as_the_server_went_away_is_asked_again(tmp_path, notes):
    """Chunks are answered in any order: some of later ones have an answer before it goes."""
    whole, cut = tmp_path / "whole" / "out.jsonl", tmp_path / "cut" / "out.jsonl"
    whole.parent.mkdir()
    cut.parent.mkdir()
    with chat_server(faulty) as server:
        asyncio.run(stage2_child.build(server.url, notes, whole))
    guard = Guard(ids=HeldOutIds(frozenset({"n5"}), "ids.txt"))
    going = lambda prompt, n: 503 if n > 30 or n % 4 == 0 else faulty(prompt, n)  # noqa: E731
    for options in ({}, {"guard": guard}):
        with chat_server(going) as server, pytest.raises(TrainingError, match="answered 503"):
            asyncio.run(stage2_child.build(server.url, notes, cut, retries=0, **options))
        with chat_server(faulty) as server:
            asyncio.run(stage2_child.build(server.url, notes, cut, **options))
        found, manifest = contents(cut)
        assert not any("503" in reason for reason in manifest["failures"])
        if not options:
            assert (found, manifest) == contents(whole)
        for file in cut.parent.iterdir():
            file.unlink()
    assert manifest["counts"]["held out: id"] == 3


def test_held_out_chunks_are_not_sent(tmp_path, notes):
    guard = Guard(ids=HeldOutIds(frozenset({"n3", "n4_1"}), "ids.txt"))
    with chat_server(faulty) as server:
        manifest = asyncio.run(
            stage2_child.build(server.url, notes, tmp_path / "out.jsonl", guard=guard)
        )
        assert len(server.prompts) == (36 - 4) * 3
    assert manifest["counts"]["held out: id"] == 4
    assert manifest["failures"]["held out (id)"] == 4
    assert manifest["settings"]["leakage"]["ids"] == 2
    assert manifest["settings"]["allow_leakage"] is False


def test_leakage_that_is_allowed_stands_in_the_manifest(tmp_path, notes):
    guard = Guard(ids=HeldOutIds(frozenset({"n3"}), "ids.txt"))
    with chat_server(faulty) as server:
        manifest = asyncio.run(
            stage2_child.build(
                server.url, notes, tmp_path / "out.jsonl", guard=guard, allow_leakage=True
            )
        )
        assert len(server.prompts) == 108
    assert manifest["counts"]["held out, used all the same: id"] == 3
    assert manifest["settings"]["allow_leakage"] is True
