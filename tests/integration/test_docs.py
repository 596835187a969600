"""Every snippet of the documentation runs, and prints what the documentation says it prints."""

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from drehr_rag import ward

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
pytestmark = pytest.mark.usefixtures("one_encoder")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the ward's notes as `notes.jsonl`, where snippets run."""
    lines = [note.model_dump_json() for note in ward.notes()]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page):
    return [(m[1], m[2]) for m in BLOCK.finditer(page.read_text())]


SCORE = re.compile(r"(?<![\d.])\d\.\d{3}(?![\d.])")
NEAR = 0.005
"""What another processor may change in a score: float32 there, bfloat16 here."""


def same(shown, printed):
    """Equal line by line, scores nearly; a line `...` is any lines, `…` in a line any text."""
    shown = shown.strip("\n")
    pattern = "\n".join(
        r"[\s\S]*" if line.strip() == "..." else re.escape(line.rstrip()).replace("…", ".*")
        for line in SCORE.sub("\0", shown).split("\n")
    ).replace("\0", f"({SCORE.pattern})")
    text = "\n".join(line.rstrip() for line in printed.strip("\n").split("\n"))
    found = re.fullmatch(pattern, text)
    scores = [float(score) for score in SCORE.findall(shown)]
    return found is not None and all(
        abs(float(score) - wanted) < NEAR
        for score, wanted in zip(found.groups(), scores, strict=True)
    )


def test_a_score_may_differ_a_little_and_nothing_else():
    assert same("1. 0.599  p …\n...", "1. 0.601  p x\nmore")
    assert not same("1. 0.599  p", "1. 0.605  p")
    assert not same("1. 0.599  p", "1. 0.601  q")
    assert not same("12.599 s", "12.601 s")


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] * (p.name != "README.md")) for p in PAGES],
    ids=lambda p: p.name,
)
def test_python_snippets(page, workplace):
    names = {}
    found = blocks(page)
    for number, (language, code) in enumerate(found):
        if language != "python":
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, f"{page.name}[{number}]", "exec"), names)
        following = found[number + 1] if number + 1 < len(found) else ("", "")
        if following[0] == "text":
            assert same(following[1], out.getvalue()), f"it printed:\n{out.getvalue()}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_console_sessions(page, workplace):
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for language, text in blocks(page):
        if language != "console":
            continue
        for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = session.partition("\n")
            run = subprocess.run(
                shlex.split(command), capture_output=True, text=True, env=environment, check=False
            )
            printed = run.stdout + run.stderr
            assert same(shown, printed), f"$ {command}\nprinted:\n{printed}"


def test_there_are_snippets():
    readme = [language for language, _ in blocks(ROOT / "README.md")]
    assert readme.count("python") >= 2
    assert readme.count("console") >= 1


SHOWN = {
    "answer_with_citations": r"→ .*STOPPED: enox.*\n(    .*\n    True\n)+.*no answer",
    "clinical_chatbot_langchain": r"^  STOPPED: .* \[p08-n5:\d+-\d+\]\n[^?]*\? .*\n  No answer: ",
    "clinical_chatbot_llama_index": r"^    p08-n5 stopped “STOPPED: .*\n[^?]*\? .*\n  the notes",
    "find_patients_for_a_trial": r"(p\d\d \d\.\d\d p\d\d-n\d .+\n){5}\{'admission note': \d+",
    "langchain_rag_agent": r"^tool: \[1\] [\s\S]*(^    p08 p08-n\d_.*\n){3}ai: .*\[2\]\.$",
    "langchain_two_step_chain": r"^\d+ passages\n(^    p01 .+\n){3}Apixaban, 5 mg",
    "llama_index_chat": r"passages\.\n(^    \d\.\d\d p08-n\d .*\n){2}[\s\S]*^4 m.*\np01: ",
    "llama_index_starter": r"(^    \d\.\d\d p04-n.*\n){3}p08 [\s\S]*(^    \d\.\d\d p08-n.*\n){3}",
    "search_one_patient": r"(^\d\.\d\d p01-n\d .+\n){3}",
}
"""What must be in an example's output: the patient's passages, and the answer with its citation."""

PLACE = re.compile(r"^ +(?:\d\.\d\d )?(p\d\d)\b", re.MULTILINE)
"""Whose a passage is that an example prints under its answer."""

OWNERS = {
    "answer_with_citations": {"p08"},
    "clinical_chatbot_llama_index": {"p08"},
    "langchain_rag_agent": {"p08"},
    "langchain_two_step_chain": {"p01"},
    "llama_index_chat": {"p08"},
    "llama_index_starter": {"p04", "p08"},
}


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def check_output(example, printed):
    assert re.search(SHOWN[example.stem], printed, re.MULTILINE), printed
    assert set(PLACE.findall(printed)) == OWNERS.get(example.stem, set())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_examples(example, workplace, monkeypatch):
    assert len(example.read_text().splitlines()) < 60
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(example), run_name="__main__")
    check_output(example, out.getvalue())


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(p, marks=[pytest.mark.slow] * (p.stem != "search_one_patient"))
        for p in EXAMPLES
    ],
    ids=lambda p: p.name,
)
def test_examples_in_a_process_of_their_own(example, workplace):
    """As a user runs them: what the tests imported or loaded before is not there."""
    alone = {name: value for name, value in os.environ.items() if name != "OPENAI_BASE_URL"}
    run = subprocess.run(
        [sys.executable, example],
        env=alone,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    check_output(example, run.stdout)
