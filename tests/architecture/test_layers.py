"""Imports point downhill, nothing prints, everything is described, and importing is cheap."""

import ast
import importlib
import json
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import drehr_rag

ROOT = Path(drehr_rag.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = [
    {"cli", "testing"},
    {"integrations", "training"},
    {"index", "indexing"},
    {"qa", "eval", "engines"},
    {"retrievers"},
    {"rerankers"},
    {"notes", "kg", "encoders", "stores", "generators"},
    {"ward"},
    {"protocols", "types", "errors", "_registry", "_extras", "_arguments"}
    | {"_files", "_urls", "_retry", "_http"},
]
"""From top to bottom (README, Architecture): import only from lower lines."""

SAME = [{"index", "indexing"}, LAYERS[-1]]
"""One thing in several files: these may know each other; the cycle test keeps them in order."""

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "openvino",
    "langchain",
    "langchain_core",
    "llama_index",
    "qdrant_client",
    "qdrant_edge",
    "pydantic",
    "numpy",
    "httpx",
    "typer",
    "rich",
)

PUBLIC = [
    "Access",
    "AllPatients",
    "Answer",
    "Chunk",
    "Citation",
    "Cohort",
    "DrehrError",
    "EhrIndex",
    "Encounter",
    "Fields",
    "Filters",
    "Hit",
    "IndexReport",
    "Layout",
    "Note",
    "Patient",
    "PatientHits",
    "load_encoder",
    "read_notes",
]


def module_name(file):
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): ast.parse(file.read_text("utf-8")) for file in FILES}


def imports(tree, modules):
    """Every module of `modules` that the tree imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"line {node.lineno}: a relative import")
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    yield whole
                elif node.module in modules:
                    yield node.module


def unit(module):
    """The part of the package that a module belongs to: `notes` of `drehr_rag.notes.sentences`."""
    return module.split(".")[1]


def line_of(part):
    return next((i for i, line in enumerate(LAYERS) if part in line), None)


def may_import(source, target):
    if source == target or any({source, target} <= group for group in SAME):
        return True
    return line_of(source) < line_of(target)


def violations(modules):
    """`who → what` for each import that does not point downhill."""
    return [
        f"{name} → {target}"
        for name, tree in modules.items()
        if name != "drehr_rag"  # the shop window, which shows everything
        for target in imports(tree, modules)
        if target == "drehr_rag" or not may_import(unit(name), unit(target))
    ]


def test_every_part_has_its_place():
    parts = {unit(name) for name in MODULES if name != "drehr_rag"}
    assert {part for part in parts if line_of(part) is None} == set()


def test_imports_point_downhill():
    found = [v for v in violations(MODULES) if not v.endswith("→ drehr_rag")]
    assert found == []


def test_only_the_version_is_imported_from_the_shop_window():
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "drehr_rag":
                names = {a.name for a in node.names if f"drehr_rag.{a.name}" not in MODULES}
                assert names <= {"__version__"}, name


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("drehr_rag.notes.sections", "from drehr_rag.index import EhrIndex"),
        ("drehr_rag.notes.sections", "def f():\n    import drehr_rag.stores"),
        ("drehr_rag.encoders.offline", "from drehr_rag import notes"),
        (
            "drehr_rag.types",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import drehr_rag.qa",
        ),
    ],
)
def test_the_layer_test_sees_a_violation(module, code):
    assert violations({**MODULES, module: ast.parse(code)})


def test_no_cycle():
    graph = {
        name: {target for target in imports(tree, MODULES) if target != name}
        for name, tree in MODULES.items()
        if name != "drehr_rag"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(" → ".join(cycle.args[1]))


def test_no_assert_and_no_print():
    found = []
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                found.append(f"{name}:{node.lineno} assert")
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id == "print" and not name.startswith("drehr_rag.cli"):
                found.append(f"{name}:{node.lineno} print")
    assert found == []


def test_every_module_says_what_it_is_for():
    assert [name for name, tree in MODULES.items() if not ast.get_docstring(tree)] == []


def test_public_names_are_pinned():
    assert drehr_rag.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(drehr_rag))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_can_be_imported(name):
    value = getattr(importlib.import_module("drehr_rag"), name)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="EhrIndx"):
        _ = drehr_rag.EhrIndx


def loaded_by(code):
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_importing_the_package_is_cheap():
    loaded = loaded_by("import drehr_rag")
    assert loaded & set(HEAVY) == set()


def test_importing_everything_by_name_brings_no_torch_and_no_framework():
    loaded = loaded_by("from drehr_rag import *\nimport drehr_rag.cli")
    heavy = {"torch", "transformers", "sentence_transformers", "langchain_core", "llama_index"}
    assert loaded & heavy == set()
