"""Names by their vectors: exact, resumed, and refused where they are not what is meant."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, EncoderError, EncoderMismatch, GraphError
from drehr_rag.kg import NearestTerms, build_graph, nearest
from drehr_rag.testing import HashEncoder

NAMES = ["heart attack", "myocardial infarction", "kidney stone", "renal calculus", "anemia"]
LONG = "a finding of the heart that takes more than eight words"
ENCODER = HashEncoder(dimension=32)


def graph_of(folder, names):
    rows = "".join(f"D:{n},{name}\n" for n, name in enumerate(names))
    (folder / "terms.csv").write_text(f"id,term\n{rows}")
    return build_graph(folder / "kg", [f"table:{folder}/terms.csv?id=id&term=term"])


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    many = [f"name {n} of {'abcdefgh'[n % 8]}" for n in range(60)]
    return graph_of(tmp_path_factory.mktemp("graph"), [*NAMES, LONG, "5", *many])


@pytest.fixture(scope="module")
def names(graph, tmp_path_factory):
    return NearestTerms.build(graph, ENCODER, tmp_path_factory.mktemp("names") / "n")


def test_names_that_can_be_looked_for_are_there(graph, names):
    assert len(names) == len(list(graph.terms())) - 2  # not the sentence, not the number


@given(
    text=st.text(alphabet="name of abhertk 0123456789", min_size=1),
    k=st.integers(1, 80),
    size=st.integers(1, 70),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_nearest_are_those_of_brute_force(names, monkeypatch, text, k, size):
    if not any(map(str.isalnum, text)):
        return
    monkeypatch.setattr(nearest, "SLICE", size)
    kept = [t for t in names.graph.terms() if t not in (LONG, "5")]
    vectors = ENCODER.encode_passages(kept).astype(np.float16).astype(np.float32)
    cosines = np.sort(vectors @ ENCODER.encode_queries([text])[0])[::-1][:k]
    found = names.nearest(text, k)
    assert [one.cosine for one in found] == pytest.approx(cosines.tolist(), abs=1e-5)
    assert len({one.name for one in found}) == len(found) == min(k, len(kept))
    own = dict(zip(kept, vectors @ ENCODER.encode_queries([text])[0], strict=True))
    assert all(one.cosine == pytest.approx(own[one.name], abs=1e-5) for one in found)
    assert all(one.concepts == names.graph.concepts(one.name) for one in found)


@pytest.mark.usefixtures("one_encoder")
def test_the_packaged_encoder_knows_a_stone_by_its_other_name(tmp_path):
    graph, encoder = graph_of(tmp_path, NAMES), load_encoder("offline")
    names = NearestTerms.build(graph, encoder, tmp_path / "n")
    assert names.nearest("stones in the kidneys", 1)[0].name == "kidney stone"
    best = NearestTerms.open(tmp_path / "n", graph, encoder).nearest("heart attack")
    assert (best[0].name, best[0].concepts) == ("heart attack", ["D:0"])
    assert best[0].cosine == pytest.approx(1, abs=2e-2)  # bfloat16 where the processor has it


class Stopping(HashEncoder):
    """Is killed at its third batch, once."""

    def __init__(self):
        super().__init__(dimension=32)
        self.asked = 0

    def encode_passages(self, texts):
        self.asked += 1
        if self.asked == 3:
            raise KeyboardInterrupt
        return super().encode_passages(texts)


def test_what_was_interrupted_goes_on(graph, names, tmp_path, monkeypatch):
    monkeypatch.setattr(nearest, "BATCH", 10)
    encoder, told = Stopping(), []
    with pytest.raises(KeyboardInterrupt):
        NearestTerms.build(graph, encoder, tmp_path / "n")
    with pytest.raises(GraphError, match=r"20 of 65 names.*goes on"):
        NearestTerms.open(tmp_path / "n", graph, encoder)
    made = NearestTerms.build(
        graph, encoder, tmp_path / "n", progress=lambda *step: told.append(step)
    )
    assert told[0] == (30, 65) and told[-1] == (65, 65)
    assert encoder.asked == 3 + 5  # none of the first two batches again
    for file in ("vectors.npy", "numbers.npy"):
        assert (made.folder / file).read_bytes() == (names.folder / file).read_bytes()
    NearestTerms.build(graph, encoder, tmp_path / "n")
    assert encoder.asked == 8  # all there


def test_another_encoder_or_graph_is_refused(graph, names, tmp_path):
    for other in (HashEncoder(dimension=16), HashEncoder(dimension=32, query_prompt="of: ")):
        for use in (NearestTerms.open, lambda f, g, e: NearestTerms.build(g, e, f)):
            with pytest.raises(EncoderMismatch, match=r"encoded by .*32-d.*give that encoder"):
                use(names.folder, graph, other)
    changed = graph_of(tmp_path, NAMES)
    with pytest.raises(GraphError, match=r"another graph than .*kg nearest"):
        NearestTerms.open(names.folder, changed, ENCODER)


def test_folders_that_hold_something_else_are_refused_and_left_alone(graph, tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(GraphError, match=r"holds no names.*drehr-rag kg nearest"):
            NearestTerms.open(folder, graph, ENCODER)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GraphError, match="holds no names"):
        NearestTerms.build(graph, ENCODER, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("manifest.json", lambda b: b[:30], "broken"),
        ("manifest.json", lambda b: b"[]", "broken"),
        ("manifest.json", lambda b: json.dumps({**json.loads(b), "schema": 9}).encode(), "schema"),
        ("vectors.npy", lambda b: b[:-1], "damaged"),
        ("numbers.npy", lambda b: b"", "damaged"),
    ],
)
def test_damage_is_told(graph, tmp_path, file, change, said):
    NearestTerms.build(graph, ENCODER, tmp_path / "n")
    path = tmp_path / "n" / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(GraphError, match=said):
        NearestTerms.open(tmp_path / "n", graph, ENCODER)


def test_a_graph_without_names_is_refused(tmp_path):
    with pytest.raises(GraphError, match="no names of two letters"):
        NearestTerms.build(graph_of(tmp_path, ["5", "1.2"]), ENCODER, tmp_path / "n")
    assert not (tmp_path / "n").exists()


class Odd(HashEncoder):
    """Gives vectors that cannot be used."""

    def __init__(self, change):
        super().__init__(dimension=32)
        self.change = change

    def encode_passages(self, texts):
        return self.change(super().encode_passages(texts))

    encode_queries = encode_passages


@pytest.mark.parametrize("change", [lambda v: v * np.nan, lambda v: v[:, :5], lambda v: v[:0]])
def test_vectors_that_are_none_are_refused(graph, names, tmp_path, change):
    with pytest.raises(EncoderError, match=r"not finite|of shape"):
        NearestTerms.build(graph, Odd(change), tmp_path / "n")
    with pytest.raises(EncoderError, match=r"not finite|of shape"):
        NearestTerms.open(names.folder, graph, Odd(change)).nearest("anemia")


@pytest.mark.parametrize("text", ["", "  ", "…", 5])
def test_a_text_without_words_is_refused(names, text):
    with pytest.raises(BadArgument):
        names.nearest(text)


@pytest.mark.parametrize("text", ["mal au cœur", "心臓発作", "инфаркт", "heart attack " * 1000])
def test_any_words_have_some_nearest_name(names, text):
    assert len(names.nearest(text, 2)) == 2
    with pytest.raises(BadArgument):
        names.nearest(text, 0)
