"""`drehr-rag eval compare` prints what was found; notes' text only for those who ask."""

import json

import pytest
import typer
from eval_results import made, rankings, task
from typer.testing import CliRunner

from drehr_rag.cli.eval import compare as module
from drehr_rag.errors import BadArgument
from drehr_rag.eval.scoring import score


@pytest.fixture
def folders(tmp_path):
    on = task(20)
    for name, seed in (("lexical", 1), ("hybrid", 2)):
        run = rankings(on, seed)
        made(name, [], cells=score(on, run), task_=on, run=run).save(tmp_path / name)
    rows = [json.dumps({"_id": c, "text": p.text}) for c, p in on.passages.items()]
    (tmp_path / "passages.jsonl").write_text("\n".join(rows))
    return tmp_path


def run(*arguments):
    app = typer.Typer()
    app.command()(module.command)
    done = CliRunner().invoke(app, [*map(str, arguments), "--flips", "200"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_a_table_a_sentence_and_what_changed(folders):
    shown = run(folders / "lexical", folders / "hybrid", "--by", "match")
    for words in ("nDCG@10", "synonym", "may be concluded", "changed most", "seed 0"):
        assert words in shown
    assert "words of" not in shown


def test_text_only_if_asked_for(folders):
    shown = run(
        folders / "lexical",
        folders / "hybrid",
        "--with-text",
        "--passages",
        folders / "passages.jsonl",
    )
    assert "words of c" in shown


def test_markdown(folders):
    file = folders / "compared.md"
    run(folders / "lexical", folders / "hybrid", "--markdown", file)
    text = file.read_text()
    assert text.startswith("# lexical and hybrid on toy")
    assert "## The queries that changed most" in text
    assert "words of" not in text


def test_json(folders):
    found = json.loads(
        run(folders / "lexical", folders / "hybrid", "--json", "--measure", "RR", "--worst", "2")
    )
    assert {one["measure"] for one in found["differences"]} == {"RR"}
    assert len(found["changed"]) == 2
    assert found["comparisons"] == len(found["differences"]) == 2


def test_another_by_is_refused(folders):
    with pytest.raises(BadArgument, match="match or type"):
        run(folders / "lexical", folders / "hybrid", "--by", "note")
