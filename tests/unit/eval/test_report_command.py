"""`drehr-rag eval report` writes one page; text only for those who ask."""

import json

import pytest
import typer
from eval_results import made, rankings, task
from typer.testing import CliRunner

from drehr_rag.cli.eval import report as module
from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.scoring import score


@pytest.fixture
def folder(tmp_path):
    on = task(12)
    for seed in (1, 2):
        run = rankings(on, seed)
        result = made(f"r{seed}", [], cells=score(on, run), task_=on, run=run)
        result.save(tmp_path / "results" / result.name)
    rows = [json.dumps({"_id": c, "text": p.text}) for c, p in on.passages.items()]
    (tmp_path / "passages.jsonl").write_text("\n".join(rows))
    return tmp_path


def run(*arguments):
    app = typer.Typer()
    app.command()(module.command)
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_a_page_beside_the_results(folder):
    said = run(folder / "results")
    text = (folder / "results" / "report.html").read_text()
    assert "report.html" in said
    assert "words of c1" not in text
    run(folder / "results", "--out", folder / "again.html")  # the page is no result: still two
    assert '"results":[{' in (folder / "again.html").read_text()


def test_with_text(folder):
    run(folder / "results", "--with-text", "--passages", folder / "passages.jsonl")
    assert "words of c1" in (folder / "results" / "report.html").read_text()


def test_text_must_be_somewhere(folder):
    with pytest.raises(BadArgument, match="goes with --with-text"):
        run(folder / "results", "--passages", "passages.jsonl")
    with pytest.raises(EvaluationError, match="r1 does not say where its passages are"):
        run(folder / "results", "--with-text")


def test_passages_of_another_corpus_are_refused(folder):
    other = folder / "other.jsonl"
    other.write_text('{"_id": "x", "text": "y"}\n')
    with pytest.raises(EvaluationError, match="none of the"):
        run(folder / "results", "--with-text", "--passages", other)
    other.write_text('{"_id": "x", "body": "a note"}\n')
    with pytest.raises(EvaluationError, match=r"other\.jsonl:1") as refused:
        run(folder / "results", "--with-text", "--passages", other)
    assert "a note" not in str(refused.value)


def test_pictures(folder):
    pytest.importorskip("matplotlib")
    said = run(folder / "results", "--png", folder / "pictures")
    assert (folder / "pictures" / "recall-by-depth.png").is_file()
    assert "recall-by-depth.png" in said
