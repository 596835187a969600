"""One ranking of several, cut where it falls off; and what a question names."""

import json

import pytest

from drehr_rag.errors import GeneratorError
from drehr_rag.kg import Matcher
from drehr_rag.qa.retrieving import FEWEST, retrieve
from drehr_rag.qa.understanding import LONGEST, MOST, ByGenerator, ByGraph
from drehr_rag.types import Chunk, Hit


def ranking(*names, scores=None):
    scores = scores or [1.0 - n / 100 for n in range(len(names))]
    return [
        Hit(Chunk(name, name, "p", 0, 1, name, name), score)
        for name, score in zip(names, scores, strict=True)
    ]


def ids(retrieved):
    return [hit.chunk.chunk_id for hit in retrieved.hits]


def test_a_question_alone_keeps_its_ranking():
    asked = []

    def find(queries, k):
        asked.append((queries, k))
        return [ranking("a", "b", "c")]

    found = retrieve("why?", find, most=3)
    assert (ids(found), found.queries, asked) == (["a", "b", "c"], ("why?",), [(["why?"], 3)])


def test_every_entity_has_its_best_hit_among_the_first():
    rankings = {"q": ranking(*"abcdef"), "gout": ranking(*"ghi"), "ckd": ranking(*"jab")}
    found = retrieve(
        "q", lambda queries, k: [rankings[one] for one in queries],
        entities=lambda question: ["gout", "ckd", "gout", " "], most=4,
    )  # fmt: skip
    assert found.queries == ("q", "gout", "ckd")
    assert ids(found)[0] == "a"
    assert set(ids(found)[:3]) == {"a", "g", "j"}
    assert (len(found.hits), found.left) == (4, 6)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([1.0, 0.9, 0.5, 0.3, 0.25, 0.1], 5),
        ([1.0, 0.01, 0.01, 0.01, 0.01, 0.01], FEWEST),
        ([0.0] * 6, 6),
        ([-0.1, -0.2, -0.3, -0.4, -0.5, -0.6], 6),
    ],
)
def test_hits_far_below_the_best_are_left_out(scores, kept):
    found = retrieve("q", lambda queries, k: [ranking(*"abcdef", scores=scores)], most=6)
    assert (len(found.hits), found.left) == (kept, 6 - kept)


def test_no_hit_is_no_hit():
    found = retrieve("q", lambda queries, k: [[] for _ in queries], entities=lambda _: ["gout"])
    assert (found.hits, found.left) == ((), 0)


def test_the_terms_of_a_graph_in_a_question():
    named = ByGraph(Matcher(["acute kidney injury", "kidney", "metformin"]))
    question = "Was Metformin stopped for the acute kidney injury? Metformin?"
    assert named(question) == ["Metformin", "acute kidney injury"]


class Says:
    def __init__(self, reply):
        self.reply, self.request = reply, None

    def generate(self, request):
        self.request = request
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def test_a_generator_names_entities():
    generator = Says(json.dumps({"entities": [" metformin ", "CKD", "CKD", "", 3, "x" * 99]}))
    assert ByGenerator(generator)("Was {metformin} stopped?") == ["metformin", "CKD"]
    assert generator.request.prompt.endswith("Question: Was {metformin} stopped?\n")
    assert generator.request.schema["properties"]["entities"]["maxItems"] == MOST
    many = Says(json.dumps({"entities": [f"e{n}" for n in range(50)]}))
    assert len(ByGenerator(many)("q")) == MOST
    assert LONGEST < 99


@pytest.mark.parametrize("reply", ["", "prose", "[]", "3", '{"entities": 3}', "[" * 9999])
def test_of_a_reply_that_is_none_nothing_is_taken(reply):
    assert ByGenerator(Says(reply))("q") == []


def test_a_server_that_fails_is_told():
    with pytest.raises(GeneratorError):
        ByGenerator(Says(GeneratorError("gone")))("q")
