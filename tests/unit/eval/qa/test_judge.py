"""The judge against a server on this machine that says well, says nonsense, and fails."""

import hashlib
import json

import pytest
from chat_server import chat_server

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.judge import SCHEMA, judge, template
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Cited, Passage, Reply, Said
from drehr_rag.eval.qa.report import judged
from drehr_rag.eval.qa.verdicts import UNFIT
from drehr_rag.generators import load_generator

SECRET = "Zebedee {has} gout"
QUESTIONS = [
    Question(question_id=f"q{n}", patient_id="p1", question=f"Question {n}?") for n in range(40)
]


def reply(number, *sentences):
    passage = Passage(note_id="n", start=0, end=5, chunk_id="c1", score=1, text=f"{SECRET} here")
    other = passage.model_copy(update={"chunk_id": "c2", "text": "not cited"})
    cited = Cited(note_id="n", start=0, end=3, chunk_id="c1", quote=SECRET[:7])
    said = tuple(Said(text=text, citations=(cited, cited)) for text in sentences)
    return Reply(question_id=f"q{number}", sentences=said, passages=(passage, other), seconds=0.1)


REPLIES = [reply(0, "Gout."), reply(1, "No gout.", "Fever."), reply(2)]


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def verdict(label):
    return json.dumps({"verdict": label})


def go(server, folder, replies=REPLIES, **options):
    generator = load_generator("openai", url=server.url, retries=0)
    return judge(QUESTIONS, replies, generator, model="tiny-chat", folder=folder, **options)


def test_each_sentence_beside_what_it_cites(tmp_path):
    labels = iter(["supported", "unsupported", "partly"])
    seen = []
    with chat_server(lambda *_: verdict(next(labels))) as server:
        found = go(server, tmp_path, progress=lambda *numbers: seen.append(numbers))
    assert [(v.question_id, v.sentence, v.verdict) for v in found] == [
        ("q0", 1, "supported"),
        ("q1", 1, "unsupported"),
        ("q1", 2, "partly"),
    ]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    body = server.bodies[0]
    assert (body["temperature"], body["seed"], body["model"]) == (0, 0, "tiny-chat")
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    prompt = server.prompts[0]
    assert "Question 0?" in prompt and "Sentence: Gout." in prompt
    assert prompt.count(f"{SECRET} here") == 1 and "not cited" not in prompt
    report = judged(found, "tiny-chat")
    assert report["judge"] == "tiny-chat" and report["supported_share"] == 1 / 3
    assert report["prompt_sha256"] == hashlib.sha256(template().encode()).hexdigest()
    assert SECRET not in (tmp_path / "verdicts.jsonl").read_text()
    assert (tmp_path / "verdicts.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "said",
    [
        "supported",
        "{}",
        "[]",
        "null",
        '{"verdict": "Supported"}',
        '{"verdict": "supported", "why": "x"}',
        '{"verdict": null}',
        '{"verdict": ["supported"]}',
        '{"verdict": {}}',
        f"```json\n{verdict('supported')}\n```",
        "[" * 100_000,
    ],
)
def test_what_does_not_fit_is_set_aside_and_never_guessed(tmp_path, said):
    with chat_server(lambda *_: said) as server:
        found = go(server, tmp_path)
        go(server, tmp_path)
    assert [v.verdict for v in found] == [None] * 3 and {v.reason for v in found} == {UNFIT}
    assert len(server.prompts) == 3  # temperature 0: it would say the same again
    report = judged(found, "tiny-chat")
    assert (report["judged"], report["unfit_replies"]) == (0, 3)
    assert report["supported_share"] is None


@pytest.mark.parametrize("fault", [500, 429, b"garbage", b'{"choices": []}'])
def test_a_failure_is_counted_and_asked_again(tmp_path, fault):
    with chat_server(lambda _, n: fault if n == 2 else verdict("supported")) as server:
        first = go(server, tmp_path)
        report = judged(first, "tiny-chat")
        assert (report["failed"], report["judged"]) == (1, 2) and report["supported_share"] == 1
        second = go(server, tmp_path)
    assert [v.verdict for v in second] == ["supported"] * 3 and len(server.prompts) == 4
    assert "Zebedee" not in str(first)


def test_a_judge_that_is_gone_stops(tmp_path):
    replies = [reply(n, f"Sentence {n}.") for n in range(40)]
    with chat_server(lambda _, n: verdict("partly") if n <= 5 else 503) as server:
        with pytest.raises(EvaluationError, match="judge failed 10 times in a row") as caught:
            go(server, tmp_path, replies)
        assert len(server.prompts) == 15 and "answered 503" in str(caught.value)
        server.say = lambda *_: verdict("supported")
        found = go(server, tmp_path, replies)
    assert [v.verdict for v in found] == ["partly"] * 5 + ["supported"] * 35
    assert len(server.prompts) == 15 + 35


def test_a_judge_of_ones_own_that_breaks(tmp_path):
    class Broken:
        def generate(self, request):
            raise ValueError(request.prompt)

    (first, *_) = judge(QUESTIONS, REPLIES, Broken(), model="own", folder=tmp_path)
    assert (first.verdict, first.reason) == (None, "ValueError")


def test_another_judge_is_asked_anew(tmp_path):
    with chat_server(lambda *_: verdict("supported")) as server:
        go(server, tmp_path)
        generator = load_generator("openai", url=server.url, model="other")
        judge(QUESTIONS, REPLIES, generator, model="other", folder=tmp_path)
    assert len(server.prompts) == 6


def test_a_half_written_verdict_is_asked_again_and_a_changed_file_refused(tmp_path):
    path = tmp_path / "verdicts.jsonl"
    with chat_server(lambda *_: verdict("supported")) as server:
        go(server, tmp_path)
        path.write_bytes(path.read_bytes()[:-9])
        assert len(go(server, tmp_path)) == 3 and len(server.prompts) == 4
        path.write_text("{}\n" + path.read_text())
        with pytest.raises(EvaluationError, match=r"1 of 4 lines .* is missing \(line 1\)"):
            go(server, tmp_path)
