"""Runs: what is kept, what a kill costs, what is refused, what an error does."""

import json
import subprocess
import sys
import time

import pytest

from drehr_rag.errors import BadArgument, EvaluationError, GeneratorError
from drehr_rag.eval.qa.account import account, percentile
from drehr_rag.eval.qa.chain import Chain
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply
from drehr_rag.eval.qa.running import PATIENCE, read_replies, run
from drehr_rag.types import Answer, AnswerSentence, Chunk, Citation, Hit

SECRET = "Zebedee"


def questions(count):
    return [
        Question(question_id=f"q{n}", patient_id="p1", question=f"Has {SECRET} gout {n}?")
        for n in range(count)
    ]


def answer(question):
    chunk = Chunk("c1", "n1", "p1", 0, 9, f"{SECRET} x", f"{SECRET} x")
    citation = Citation("n1", "p1", None, 0, 7, SECRET, "c1")
    said = (AnswerSentence("Gout.", (citation,)),)
    return Answer(question=question.question, sentences=said, hits=(Hit(chunk, 0.5),), removed=1)


class Asked:
    """A chain that keeps what it was asked, and fails where it is told to."""

    def __init__(self, fails=(), problem=None, settings=None, **more):
        self.seen, self.fails = [], set(fails)
        self.problem = problem or GeneratorError("the generator answered 500")
        self.chain = Chain(self.ask, settings or {"model": "m1", "chunker": {"words": 100}}, **more)

    def ask(self, question):
        self.seen.append(question.question_id)
        if question.question_id in self.fails:
            raise self.problem
        return answer(question)


def go(asked, folder, count=5, **options):
    return run(asked.chain, questions(count), folder, name="mine", **options)


def test_what_is_kept(tmp_path):
    seen = []
    asked = Asked(tokens=lambda: {"prompt": 9, "completion": 2}, confidence=lambda *_: 0.7)
    replies = go(asked, tmp_path / "a/run", progress=lambda *numbers: seen.append(numbers))
    assert [r.question_id for r in replies] == ["q0", "q1", "q2", "q3", "q4"]
    assert seen == [(n, 5, 0) for n in range(1, 6)]
    assert read_replies(tmp_path / "a/run/answers.jsonl") == replies
    (first, *_) = replies
    assert (first.text, first.removed, first.confidence) == ("Gout.", 1, 0.7)
    assert [(c.start, c.end, c.quote) for c in first.citations] == [(0, 7, SECRET)]
    assert [(p.note_id, p.end, p.score) for p in first.passages] == [("n1", 9, 0.5)]
    assert SECRET not in repr(first)
    assert (tmp_path / "a/run").stat().st_mode & 0o777 == 0o700
    for name in ("answers.jsonl", "manifest.json"):
        assert (tmp_path / "a/run" / name).stat().st_mode & 0o777 == 0o600
    manifest = json.loads((tmp_path / "a/run/manifest.json").read_text())
    assert manifest["set"]["questions"] == 5 and len(manifest["set"]["sha256"]) == 64
    assert manifest["chain"]["model"] == "m1" and SECRET not in json.dumps(manifest)


def test_a_killed_run_goes_on(tmp_path):
    whole = go(Asked(), tmp_path / "whole")
    go(Asked(), tmp_path / "run", limit=3, command="first")
    path = tmp_path / "run/answers.jsonl"
    path.write_bytes(path.read_bytes()[:-20])  # killed while it wrote q2
    asked = Asked()
    replies = go(asked, tmp_path / "run", command="second")
    assert asked.seen == ["q2", "q3", "q4"]
    assert [r.model_copy(update={"seconds": 0}) for r in replies] == [
        r.model_copy(update={"seconds": 0}) for r in whole
    ]
    commands = json.loads((tmp_path / "run/manifest.json").read_text())["commands"]
    assert [c["command"] for c in commands] == ["first", "second"]
    assert go(asked, tmp_path / "run") == replies and len(asked.seen) == 3


@pytest.mark.parametrize("kept", range(0, 700, 53))
def test_wherever_the_kill_hits_nothing_is_lost_or_doubled(tmp_path, kept):
    go(Asked(), tmp_path, 2)
    path = tmp_path / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:kept])
    go(Asked(), tmp_path, 2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["question_id"] for line in lines] == ["q0", "q1"]


SLOW = """
import sys, time
from drehr_rag.eval.qa.chain import Chain
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.running import run
from drehr_rag.types import Answer

def ask(question):
    time.sleep(0.01)
    return Answer(question=question.question, abstained=True, reason="x" * 5000)

questions = [Question(question_id=str(n), patient_id="p", question="What?") for n in range(200)]
replies = run(Chain(ask), questions, sys.argv[1], name="slow")
print(len(replies))
"""


def test_a_process_killed_for_good(tmp_path):
    path = tmp_path / "answers.jsonl"
    for least in (1, 40, 80):
        process = subprocess.Popen([sys.executable, "-c", SLOW, tmp_path])
        until = time.monotonic() + 60
        while time.monotonic() < until and (
            not path.exists() or path.read_bytes().count(b"\n") < least
        ):
            time.sleep(0.005)
        process.kill()
        process.wait()
    done = subprocess.run(
        [sys.executable, "-c", SLOW, tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "200\n", done.stderr
    ids = [json.loads(line)["question_id"] for line in path.read_text().splitlines()]
    assert ids == [str(n) for n in range(200)]


@pytest.mark.parametrize(
    ("asked", "options", "told"),
    [
        (Asked(settings={"model": "m2"}), {}, "chain model: 'm1' there, 'm2' here"),
        (Asked(), {"count": 4}, "set questions: 5 there, 4 here"),
        (Asked(), {"seed": 3}, "seed: 0 there, 3 here"),
    ],
)
def test_another_run_is_refused(tmp_path, asked, options, told):
    go(Asked(), tmp_path)
    before = (tmp_path / "answers.jsonl").read_bytes()
    with pytest.raises(EvaluationError, match="holds another run") as caught:
        go(asked, tmp_path, **options)
    assert told in str(caught.value) and "Name another folder" in str(caught.value)
    assert (tmp_path / "answers.jsonl").read_bytes() == before and asked.seen == []


def test_folders_that_are_no_run(tmp_path):
    go(Asked(), tmp_path / "a")
    (tmp_path / "a/manifest.json").unlink()
    with pytest.raises(EvaluationError, match=r"has no manifest\.json beside it"):
        go(Asked(), tmp_path / "a")
    (tmp_path / "a/manifest.json").write_text("[")
    with pytest.raises(EvaluationError, match="is not JSON"):
        go(Asked(), tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="cannot make the folder"):
        go(Asked(), tmp_path / "file")


def test_a_broken_line_in_the_middle_is_told(tmp_path):
    go(Asked(), tmp_path)
    path = tmp_path / "answers.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], f"{SECRET}\n", *lines[1:]]))
    with pytest.raises(EvaluationError, match=r"1 of 6 lines .*line 2") as caught:
        go(Asked(), tmp_path)
    assert SECRET not in str(caught.value)


def test_an_error_is_kept_with_its_reason_and_asked_again(tmp_path):
    replies = go(Asked(fails=["q1"]), tmp_path)
    assert [r.error for r in replies] == [None, "the generator answered 500", None, None, None]
    asked = Asked()
    replies = go(asked, tmp_path)
    assert asked.seen == ["q1"] and not any(r.error for r in replies)


def test_a_foreign_error_is_kept_without_its_words(tmp_path):
    replies = go(Asked(fails=["q0"], problem=ValueError(f"cannot read {SECRET}")), tmp_path)
    assert replies[0].error == "ValueError"
    assert SECRET not in (tmp_path / "answers.jsonl").read_text().splitlines()[0]


def test_a_server_that_is_gone_stops_the_run(tmp_path):
    asked = Asked(fails=[f"q{n}" for n in range(3, 40)])
    with pytest.raises(EvaluationError, match="last 10 questions failed") as caught:
        go(asked, tmp_path, 40)
    assert "answered 500" in str(caught.value) and "goes on from there" in str(caught.value)
    assert len(asked.seen) == 3 + PATIENCE
    again = Asked()
    assert len(go(again, tmp_path, 40)) == 40 and len(again.seen) == 37


def test_failures_that_are_not_in_a_row_do_not_stop_it(tmp_path):
    fails = [f"q{n}" for n in range(40) if n % 10]
    assert sum(r.error is not None for r in go(Asked(fails=fails), tmp_path, 40)) == 36


def test_ctrl_c_is_no_error_of_the_question(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go(Asked(fails=["q2"], problem=KeyboardInterrupt()), tmp_path)
    assert len(read_replies(tmp_path / "answers.jsonl")) == 2


def test_settings_come_back_from_the_file_as_they_were(tmp_path):
    for _ in range(2):
        go(Asked(settings={"modes": ("dense", "lexical"), 5: {"k": None}}), tmp_path)
    with pytest.raises(BadArgument, match="no JSON value"):
        go(Asked(settings={"encoder": object()}), tmp_path / "b")
    with pytest.raises(BadArgument, match="limit is a whole number from 1 up"):
        go(Asked(), tmp_path / "b", limit=0)
    assert not (tmp_path / "b/answers.jsonl").exists()


def test_a_confidence_that_is_no_number(tmp_path):
    (first, *_) = go(Asked(confidence=lambda *_: float("nan")), tmp_path)
    assert first.error == "the chain's confidence is no finite number"


def test_half_a_surrogate_pair_in_an_answer_does_not_end_the_run(tmp_path):
    asked = Asked()

    def ask(question):
        said = (AnswerSentence("Gout \ud83d.", answer(question).citations),)
        return Answer(question=question.question, sentences=said)

    replies = run(Chain(ask, asked.chain.settings), questions(2), tmp_path, name="mine")
    assert [r.text for r in replies] == ["Gout ?."] * 2
    assert read_replies(tmp_path / "answers.jsonl") == replies


def test_the_account():
    replies = [Reply(question_id=f"q{n}", seconds=n / 10) for n in range(1, 21)]
    replies.append(Reply(question_id="a", abstained=True, seconds=9, tokens=None))
    replies.append(Reply(question_id="b", error="gone", seconds=99))
    found = account(replies)
    assert (found["answered"], found["abstained"], found["failed"]) == (20, 1, 1)
    assert found["errors"] == {"gone": 1}
    assert (found["seconds_p50"], found["seconds_p95"]) == (1.1, 2.0)
    assert found["tokens_reported_by"] == 0 and found["prompt_tokens"] is None
    told = Reply(question_id="c", seconds=1, tokens={"prompt": 10, "completion": 3})
    assert account([*replies, told, told])["prompt_tokens"] == 20
    assert percentile([], 0.5) is None and percentile([3], 0.95) == 3
