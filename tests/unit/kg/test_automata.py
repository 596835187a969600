"""Several automata find what one would."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg import Matcher
from drehr_rag.kg._words import Words

WORDS = ["a", "bb", "c.d", "(e)", "ff/g", "h", "İ", "atrial", "of", "-"]
TERMS = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join), max_size=30
)
TEXTS = st.lists(st.sampled_from([*WORDS, "\n\n", "x", ","]), max_size=30).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(TERMS, TEXTS, st.integers(1, 5), st.sampled_from(["words", "released"]))
def test_blocks_do_not_change_what_is_found(terms, text, block, boundaries):
    options = {"boundaries": boundaries, "shortest": 1}
    one, several = Matcher(terms, **options), Matcher(terms, block=block, **options)
    assert several.find(text) == one.find(text)
    assert several.left_out == one.left_out and len(several) == len(one)


def test_more_words_than_characters_with_blocks(monkeypatch):
    monkeypatch.setattr("drehr_rag.kg._words.SINGLE", 20)
    chance = random.Random(4)
    terms = [" ".join(f"w{chance.randrange(90)}" for _ in range(1 + n % 3)) for n in range(200)]
    one, several = Matcher(terms), Matcher(terms, block=7)
    assert len(Words(several._words.words())) > 20
    text = " ".join(f"w{chance.randrange(95)}" for _ in range(2_000))
    found = several.find(text)
    assert len(found) > 500 and found == one.find(text)


def test_blocks_are_saved_loaded_and_sent_to_processes(tmp_path):
    terms = [f"term {n % 40} of {n}" for n in range(300)] + [f"t{n}" for n in range(60)]
    made = Matcher(terms, block=25)
    assert len(made._automata._blocks) > 3
    made.save(tmp_path / "m")
    again = Matcher.load(tmp_path / "m")
    texts = ["seen: term 3 of 43, t7 and term 9 of 9.", "none"] * 70
    found = list(made.find_many(texts))
    assert len(found[0]) == 3 and found[1] == []
    assert list(again.find_many(texts)) == found
    assert list(made.find_many(texts, workers=2)) == found


@pytest.mark.parametrize("cut", [1, 9, 60, -3])
def test_a_cut_file_is_refused(tmp_path, cut):
    file = tmp_path / "m"
    Matcher(["gout", "heart failure"]).save(file)
    raw = file.read_bytes()
    file.write_bytes(raw[:cut])
    with pytest.raises(GraphError, match=r"no matcher, or damaged|is damaged"):
        Matcher.load(file)


def test_a_block_of_nothing_is_refused():
    with pytest.raises(BadArgument, match="block"):
        Matcher(["gout"], block=0)
