"""What it takes to swap an application's retriever: each example beside its stock form, counted."""

import ast
import difflib
import io
import os
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STOCK = Path(__file__).parent / "stock_examples"
MOST = {
    "langchain_rag_agent.py": (8, 25),
    "langchain_two_step_chain.py": (10, 15),
    "llama_index_chat.py": (12, 24),
    "llama_index_starter.py": (17, 15),
}
"""At most so many lines come in with ours, and at most so many of the stock form's go; lines of
code, imports included. docs/langchain.md and docs/llama_index.md say the numbers."""

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def code(path):
    """Its lines without comments, docstrings, blank lines and indentation."""
    text = path.read_text()
    first = [node.body[0] for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
    told = {one.lineno for one in first if isinstance(getattr(one, "value", None), ast.Constant)}
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    bare = [line.strip() for number, line in enumerate(lines, 1) if number not in told]
    return [line for line in bare if line]


def changed(name):
    """Lines that come, and lines that go."""
    before, after = code(STOCK / name), code(ROOT / "examples" / name)
    differing = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    moved = [(b1 - b0, a1 - a0) for kind, a0, a1, b0, b1 in differing if kind != "equal"]
    return tuple(map(sum, zip(*moved, strict=True)))


@pytest.mark.parametrize("name", sorted(MOST))
def test_few_lines_come_and_go(name):
    came, gone = changed(name)
    assert 0 < came <= MOST[name][0]
    assert 0 < gone <= MOST[name][1]
    page = "langchain.md" if name.startswith("langchain") else "llama_index.md"
    row = f"`{name}` | {came} | {gone} | {len(code(ROOT / 'examples' / name))} |"
    assert row in (ROOT / "docs" / page).read_text(), row


def test_every_framework_s_example_has_its_stock_form():
    ours = {path.name for path in (ROOT / "examples").glob("lla*.py")}
    ours |= {path.name for path in (ROOT / "examples").glob("langchain*.py")}
    assert ours == {path.name for path in STOCK.glob("*.py")} == set(MOST)
    for name in MOST:
        lines = code(STOCK / name)
        assert [line for line in lines if "drehr" in line] == ["from drehr_rag import ward"]
        compile((STOCK / name).read_text(), name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MOST))
def test_the_stock_form_runs(name, tmp_path):
    """So that what is counted is a program, not a sketch of one."""
    alone = {key: value for key, value in os.environ.items() if key != "OPENAI_BASE_URL"}
    run = subprocess.run(
        [sys.executable, STOCK / name], cwd=tmp_path, env=alone, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "    " in run.stdout  # a passage
