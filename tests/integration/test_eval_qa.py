"""`drehr-rag eval qa` and `eval archehr` as a user meets them, with real parts and bad servers."""

import json

import pytest
from archehr_sample import write_key, write_xml
from chat_server import chat_server

from drehr_rag import ward

pytestmark = pytest.mark.usefixtures("one_encoder")


@pytest.fixture(autouse=True)
def _loopback(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The notes of the ward's first three patients."""
    from drehr_rag import EhrIndex

    folder = tmp_path_factory.mktemp("store") / "ward.idx"
    with EhrIndex.open(folder, encoder="offline") as index:
        index.add([note for note in ward.notes() if note.patient_id in {"p01", "p02", "p03"}])
    return folder


def quoting(prompt, _):
    """A language model that quotes the first words of the first passage."""
    passage = prompt.split('<passage number="1"', 1)[1].split("\n", 1)[1]
    quote = passage.split("\n")[0]
    return json.dumps({"sentences": [{"text": quote, "passages": [1], "quote": quote}]})


def test_examples_are_shown(run):
    for name in ("qa", "archehr convert", "archehr submission", "archehr score"):
        code, out, _ = run("eval", *name.split(), "--help")
        assert code == 0
        assert f"Example: drehr-rag eval {name}" in " ".join(out.replace("│", " ").split())


def test_the_extractive_chain_over_the_ward(run, store, tmp_path):
    line = ("eval", "qa", "--store", store, "--set", "ward", "--out", tmp_path / "run")
    code, out, err = run(*line, "--limit", "4")
    assert code == 0, err
    assert "ward: 4 of 84 questions; generator extractive" in out
    code, out, _ = run(*line, "--limit", "6", "--json")
    found = json.loads(out)
    assert code == 0 and found["account"]["questions"] == 6
    assert found["retrieval"]["all"]["hit@all"] > 0.5
    assert found == json.loads((tmp_path / "run/report.json").read_text())
    assert "| evidence | hit@all |" in (tmp_path / "run/report.md").read_text()
    code, _, err = run(*line, "--limit", "6", "--passages", "3")
    assert code == 1 and "chain passages: 24 there, 3 here" in " ".join(err.split())


def test_a_generator_and_a_judge(run, store, tmp_path):
    def judging(_, number):
        return "nonsense" if number == 2 else '{"verdict": "supported"}'

    with chat_server(quoting) as generator, chat_server(judging) as judge:
        code, out, err = run(
            *("eval", "qa", "--store", store, "--set", "ward", "--out", tmp_path / "run"),
            *("--limit", "4", "--json", "--generator-url", generator.url),
            *("--judge-url", judge.url, "--judge-model", "strict-judge"),
        )
    assert code == 0, err
    found = json.loads(out)
    assert found["account"]["answered"] == 4
    assert found["account"]["prompt_tokens"] == 400
    assert found["run"]["chain"]["generator"] == "tiny-chat"
    judged = found["faithfulness"]
    assert (judged["judge"], judged["supported"], judged["unfit_replies"]) == ("strict-judge", 3, 1)


def test_a_generator_that_breaks(run, store, tmp_path):
    line = ("eval", "qa", "--store", store, "--set", "ward", "--out", tmp_path / "run", "--json")
    line = (*line, "--limit", "15")
    with chat_server(lambda p, n: quoting(p, n) if n <= 2 else 500) as server:
        code, out, err = run(*line, "--generator-url", server.url)
        assert code == 1 and out == ""
        assert "last 10 questions failed" in err and "answered 500" in err
        server.say = lambda p, n: "no JSON" if n == 33 else quoting(p, n)
        code, out, err = run(*line, "--generator-url", server.url)
        assert code == 0, err
        assert len(server.prompts) == 2 + 3 * 10 + 13  # the two that were answered are kept
    account = json.loads(out)["account"]
    assert account["failed"] == 1
    assert account["errors"] == {"the generator's reply does not fit the schema it was given": 1}


def test_all_questions_failed(run, store, tmp_path):
    with chat_server(lambda *_: 500) as server:
        code, out, err = run(
            *("eval", "qa", "--store", store, "--set", "ward", "--out", tmp_path / "run"),
            *("--limit", "3", "--generator-url", server.url),
        )
    assert code == 1 and "every question failed" in err and "│ failed" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--limit", "0"], 2, "--limit is a whole number"),
        (["--passages", "0"], 2, "--passages is a whole number"),
        (["--model", "m"], 2, "--model goes with --generator-url"),
        (["--judge-model", "m"], 2, "--judge-model goes with --judge-url"),
        (["--judge-url", " "], 2, "--judge-url is empty"),
        (["--generator-url", ""], 2, "--generator-url is empty"),
        (["--split", "test"], 2, "no split 'test'"),
        (["--column", "x"], 2, "--column takes FIELD=VALUE"),
        (["--set", "/no/such/file"], 1, "cannot read /no/such/file"),
        (["--notes", "/no/such/file"], 1, "there is no file or folder"),
    ],
)
def test_what_cannot_be_meant(run, store, tmp_path, arguments, code, said):
    given = ["--set", "ward", "--out", tmp_path / "run", *arguments]
    found, _, err = run("eval", "qa", "--store", store, *given)
    assert found == code and said in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_patients_without_notes_are_counted_and_cost_nothing(run, store, tmp_path):
    rows = [{"question_id": p, "patient_id": p, "question": "Gout?"} for p in ("p01", "nobody")]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ("--set", tmp_path / "q.jsonl", "--out", tmp_path / "run")
    with chat_server(quoting) as server:
        line = ("eval", "qa", "--store", store, *given, "--generator-url", server.url)
        code, out, err = run(*line, "--json")
    assert code == 0, err
    account = json.loads(out)["account"]
    assert account["patients_without_notes"] == 1
    assert (account["abstained"], account["tokens_reported_by"]) == (1, 1)
    assert "without a note in the store | 1 |" in (tmp_path / "run/report.md").read_text()


def test_a_store_of_other_patients(run, store, tmp_path):
    row = {"question_id": "q1", "patient_id": "nobody", "question": "Gout?"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row))
    given = ("--set", tmp_path / "q.jsonl", "--out", tmp_path / "run")
    code, _, err = run("eval", "qa", "--store", store, *given)
    assert code == 1 and "none of the set's 1 patients has a note" in err


def test_archehr_from_the_xml_to_the_scores(run, tmp_path):
    xml, key = write_xml(tmp_path), write_key(tmp_path)
    questions, notes = tmp_path / "questions.jsonl", tmp_path / "excerpts.jsonl"
    given = ("--cases", xml, "--key", key, "--questions", questions, "--notes", notes)
    code, out, err = run("eval", "archehr", "convert", *given)
    assert code == 0 and "3 cases, 6 sentences of evidence" in out and err == ""
    index = tmp_path / "cases.idx"
    assert run("index", notes, "--store", index, "--encoder", "offline")[0] == 0
    with chat_server(quoting) as server:
        code, out, err = run(
            *("eval", "qa", "--store", index, "--set", questions, "--notes", notes, "--json"),
            *("--out", tmp_path / "run", "--generator-url", server.url),
        )
    assert code == 0, err
    assert json.loads(out)["retrieval"]["all"]["hit@all"] == 1
    made = tmp_path / "submission.json"
    given = ("--answers", tmp_path / "run/answers.jsonl", "--cases", xml, "--out", made)
    code, out, err = run("eval", "archehr", "submission", *given)
    assert code == 0 and "3 cases" in out and err == ""
    code, out, _ = run("eval", "archehr", "score", made, "--cases", xml, "--key", key, "--json")
    scores = json.loads(out)
    assert code == 0 and scores["cases"] == 3 and scores["strict"]["recall"] > 0
    code, out, _ = run("eval", "archehr", "score", made, "--cases", xml, "--key", key)
    assert code == 0 and "lenient, macro" in out


def test_archehr_mistakes(run, tmp_path):
    xml = write_xml(tmp_path)
    given = ("--cases", xml, "--questions", tmp_path / "q", "--notes", tmp_path / "n")
    code, _, err = run("eval", "archehr", "convert", *given, "--asked", "nurse")
    assert code == 2 and "--asked is clinician or patient" in err
    code, _, err = run(
        "eval", "archehr", "submission", "--answers", "no", "--cases", xml, "--out", "x"
    )
    assert code == 2 and "there is no file no" in err
    text = xml.read_text().replace('start_char_index="21"', 'start_char_index="20"')
    write_xml(tmp_path, text)
    code, _, err = run("eval", "archehr", "convert", *given)
    assert code == 0 and "1 of 10 sentences stand elsewhere than start_char_index says" in err
