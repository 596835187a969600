"""A grid crosses its lists, goes on where it was cut off, and says what it does not know."""

from pathlib import Path

import pytest

from drehr_rag.errors import EvaluationError
from drehr_rag.eval import grid as grids
from drehr_rag.eval.comparing.differences import compare
from drehr_rag.eval.grid import read_grid, run_grid
from drehr_rag.eval.grid_table import grid_table
from drehr_rag.eval.scoring import Cell, mean

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

GRID = """
cache = "vectors"
[[benchmark]]
name = "ward"
options = { chunker = ["sections", "words"] }
[[system]]
mode = "lexical"
[[system]]
mode = ["rrf", "hybrid"]
encoder = ["a", "b/c"]
options = { depth = [100, 200] }
"""


def test_lists_are_crossed(tmp_path):
    (tmp_path / "grid.toml").write_text(GRID)
    plan = read_grid(tmp_path / "grid.toml")
    assert [one.folder for one in plan.benchmarks] == [
        "ward-chunker=sections",
        "ward-chunker=words",
    ]
    assert len(plan.systems) == 1 + 2 * 2 * 2
    assert plan.systems[-1].name == "hybrid b/c depth=200"
    assert plan.systems[-1].folder == "hybrid b_c assertion=ranked depth=200"
    assert plan.cache == tmp_path / "vectors"


def test_paths_and_tables_of_a_system(tmp_path):
    """A graph lies beside the file; a table is one value; a list in a list is one value."""
    (tmp_path / "grid.toml").write_text(
        """
        [[benchmark]]
        name = "ward"
        [[system]]
        mode = "reranked"
        encoder = "offline"
        [system.options]
        share = [0.5, 1.0]
        base_options = { graph = "some/kg", abbreviations = ["a.tsv", "b.tsv"] }
        [[system]]
        mode = "expanded"
        encoder = "offline"
        options = { graph = ["kg", "other"], abbreviations = [["a.tsv", "b.tsv"]] }
        """
    )
    systems = read_grid(tmp_path / "grid.toml").systems
    files = [str(tmp_path / name) for name in ("a.tsv", "b.tsv")]
    given = {"graph": str(tmp_path / "some/kg"), "abbreviations": files}
    assert [one.options["share"] for one in systems[:2]] == [0.5, 1.0]
    assert systems[0].options["base_options"] == given
    assert systems[0].name == "reranked offline share=0.5 graph=kg abbreviations=a.tsv+b.tsv"
    assert [one.options["graph"] for one in systems[2:]] == [
        str(tmp_path / name) for name in ("kg", "other")
    ]
    assert systems[2].options["abbreviations"] == files


def test_denials_and_the_packaged_graph_of_a_system(tmp_path):
    """A user's search is the plain name; what differs from it is said, and stands in a folder."""
    (tmp_path / "grid.toml").write_text(
        """
        [[benchmark]]
        name = "ward"
        [[system]]
        mode = "expanded"
        encoder = "offline"
        assertion = ["ranked", "any"]
        options = { graph = "packaged", abbreviations = [[]], weights = { synonym = 0.6 } }
        """
    )
    first, second = read_grid(tmp_path / "grid.toml").systems
    parts = "graph=packaged abbreviations=none synonym=0.6"
    assert (first.options["graph"], first.options["abbreviations"]) == ("packaged", [])
    assert (first.assertion, first.name) == ("ranked", f"expanded offline {parts}")
    assert first.folder == f"expanded offline assertion=ranked {parts}"
    assert second.folder == second.name == f"expanded offline assertion=any {parts}"


def test_the_grid_that_chooses_looks_at_nothing_that_reports():
    plans = [read_grid(BENCHMARKS / f"{name}.toml") for name in ("grid", "grid_report")]
    choosing, reporting = ({one.folder for one in plan.benchmarks} for plan in plans)
    assert not choosing & reporting
    assert reporting == {"devset-vaers2004_clean", "devset-mtsamples_report"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[system]]\nmode='x'", r"no \[\[benchmark\]\]"),
        ("[[benchmark]]\nname='ward'", r"no \[\[system\]\]"),
        (
            GRID + "depth = 3",
            r"\[\[system\]\] has no depth: there are assertion, encoder, mode, options",
        ),
        ("seed = 1\n" + GRID, "has no seed"),
        (GRID + "[[system]]\nencoder='x'", "has no mode"),
        (GRID + "[[system]]\nmode='x'\noptions=3", "options of a .* are a table"),
        (GRID + "[[system]]\nmode='x'\nassertion='none'", "assertion is one of .*, not 'none'"),
        ("[[", "broken TOML"),
        (
            '[[benchmark]]\nname = "beir"\nplace = ["a/x", "b/x"]\n[[system]]\nmode = "lexical"',
            r"two \[\[benchmark\]\] would write to one folder, 'beir-x'",
        ),
        (
            '[[benchmark]]\nname = "ward"\n[[system]]\nmode = "rrf"\nencoder = ["a/b", "a_b"]',
            r"two \[\[system\]\] would write to one folder, 'rrf a_b assertion=ranked'",
        ),
    ],
)
def test_what_is_not_meant_is_named(tmp_path, text, said):
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(EvaluationError, match=said):
        read_grid(tmp_path / "grid.toml")


def test_a_grid_goes_on(tmp_path, monkeypatch):
    text = '[[benchmark]]\nname = "ward"\n[[system]]\nmode = "lexical"\n'
    (tmp_path / "grid.toml").write_text(text)
    first = run_grid(read_grid(tmp_path / "grid.toml"), tmp_path / "out")
    assert list(first) == ["ward"]
    assert first["ward"][0].manifest["system"]["mode"] == "lexical"

    def never(*_, **__):
        raise RuntimeError("searched again")

    monkeypatch.setattr(grids, "measured", never)
    again = run_grid(read_grid(tmp_path / "grid.toml"), tmp_path / "out")
    assert again["ward"][0].scores == first["ward"][0].scores
    (
        tmp_path / "out" / "ward" / "lexical assertion=ranked" / "manifest.json"
    ).unlink()  # cut off while writing
    with pytest.raises(RuntimeError, match="searched again"):
        run_grid(read_grid(tmp_path / "grid.toml"), tmp_path / "out")


def test_one_table_of_all(tmp_path):
    text = '[[benchmark]]\nname = "ward"\noptions = { chunker = ["sections", "words"] }\n'
    text += '[[system]]\nmode = "lexical"\n'
    (tmp_path / "grid.toml").write_text(text)
    found = run_grid(read_grid(tmp_path / "grid.toml"), tmp_path / "out")
    table = grid_table(found)
    assert table.columns == tuple(
        (f"ward-chunker={chunker}", measure)
        for chunker in ("sections", "words")
        for measure in ("nDCG@10", "Recall@100")
    )
    [(name, row)] = table.rows
    assert name == "lexical"
    cell = Cell("multi-patient", "all", "R@100")
    held = found["ward-chunker=words"][0].scores[cell]
    assert row[3].value == pytest.approx(mean(held))
    assert row[3].low < row[3].value < row[3].high
    assert f"| lexical | {row[0].value:.3f}".replace("| 0", "| ") in table.markdown()
    assert [heading for _, heading in table.headings[4:]] == ["p50, ms", "p50, ms"]
    told = found["ward-chunker=words"][0].manifest["latency_ms"]["search_p50"]
    assert table.times["ward-chunker=words"] == {"lexical": told}
    assert table.cells()[0][-1] == f"{told:.1f}"
    synonyms = grid_table(found, matches=["synonym"])
    assert ("ward-chunker=words", "nDCG@10, synonym") in synonyms.columns


def test_a_search_of_before_denials_were_told_apart_is_not_taken_for_one(tmp_path):
    """Its folder had the bare name, and its manifest no assertion."""
    text = '[[benchmark]]\nname = "ward"\n[[system]]\nmode = "lexical"\n'
    text += 'assertion = ["any", "ranked"]\n'
    (tmp_path / "grid.toml").write_text(text)
    old = tmp_path / "out" / "ward" / "lexical"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("no result")
    every, told = run_grid(read_grid(tmp_path / "grid.toml"), tmp_path / "out")["ward"]
    assert [one.manifest["system"]["assertion"] for one in (every, told)] == ["any", "ranked"]
    assert every.scores != told.scores  # the ward's notes deny some of what is looked for


def test_results_of_other_data_are_not_taken_for_these(tmp_path):
    place = tmp_path / "set"
    (place / "qrels").mkdir(parents=True)
    (place / "corpus.jsonl").write_text('{"_id": "d", "text": "gout"}\n')
    (place / "queries.jsonl").write_text('{"_id": "q", "text": "gout"}\n')
    (place / "qrels" / "test.tsv").write_text("q 0 d 1\n")
    text = '[[benchmark]]\nname = "beir"\nplace = "set"\n[[system]]\nmode = "lexical"\n'
    (tmp_path / "grid.toml").write_text(text)
    plan = read_grid(tmp_path / "grid.toml")
    [first] = run_grid(plan, tmp_path / "out")["beir-set"]
    (place / "corpus.jsonl").write_text('{"_id": "d", "text": "nothing"}\n')
    with pytest.raises(EvaluationError, match=r"measured on other data than beir set test .*data"):
        run_grid(plan, tmp_path / "out")
    [second] = run_grid(plan, tmp_path / "again")["beir-set"]
    with pytest.raises(EvaluationError, match=r"other data: their manifests' data"):
        compare(first, second)
