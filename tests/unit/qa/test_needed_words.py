"""Words that a rule needs: nothing that the rule matches is without one of them."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.qa.folding import fold, plain
from drehr_rag.qa.instructions import _rules
from drehr_rag.qa.needed_words import Rules, needed

GROUPS = _rules()
PATTERNS = [pattern for rules in GROUPS for pattern in rules.patterns]
WORDS = [words for rules in GROUPS for words in rules.words]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("abc", {"abc"}),
        ("a+bc", {"bc"}),
        ("x?yes|no", {"yes", "no"}),
        (r"\b(?:ignore|drop) [^.]{0,9}\b(?:rules|notes)\b", {"rules", "notes"}),
        (r"(?:secret)? word\w*", {" word"}),
        (r"\w+|fixed", set()),
        ("(?i)word", set()),
        ("(?!not)here", {"here"}),
    ],
)
def test_the_words(pattern, words):
    assert needed(pattern) == words


def test_most_rules_need_a_word_that_is_not_everywhere():
    rare = [words for words in WORDS if words and min(map(len, words)) > 2]
    assert len(rare) > 0.6 * len(WORDS)


@settings(max_examples=400)
@given(st.data())
def test_what_a_rule_matches_holds_one_of_its_words(data):
    rules = data.draw(st.sampled_from(GROUPS))
    pattern = data.draw(st.sampled_from(rules.patterns))
    assert pattern in rules.possible(data.draw(st.from_regex(pattern)))


def test_in_random_text_no_match_is_passed_over():
    chance = random.Random(0)
    words = sorted(frozenset().union(*WORDS)) + list(string.ascii_lowercase)
    for _ in range(500):
        text = " ".join(chance.choices(words, k=12))
        possible = {one for rules in GROUPS for one in rules.possible(text)}
        assert {one for one in PATTERNS if one.search(text)} <= possible


@given(st.text())
def test_folded_as_a_quote_is(text):
    assert plain(text) == fold(text).text


def test_only_what_has_its_words_is_possible_and_what_needs_none():
    rules = Rules.of([r"\d+", "ab+", "cd"])
    assert [one.pattern for one in rules.possible("xyz")] == [r"\d+"]
    assert [one.pattern for one in rules.possible("xcdyaz")] == [r"\d+", "ab+", "cd"]


def test_of_the_words_of_a_whole_text_a_part_has_some():
    rules = Rules.of([r"\d+", "ab+", "cd"])
    some = rules.among("x ab y")
    assert set(some.needing) == {"a"} and some.patterns == rules.patterns
    assert some.possible("ab y") == rules.possible("ab y") != some.possible("y")
