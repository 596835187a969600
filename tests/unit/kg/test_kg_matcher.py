"""The matcher finds what a plain reading of its rules finds; offsets are into the text as given."""

import pickle
import unicodedata
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drehr_rag.errors import BadArgument, GraphError

pytest.importorskip("daachorse", reason="needs the extra kg")
from drehr_rag.kg import Matcher
from drehr_rag.kg._words import SINGLE, Words, _code, as_text

ALPHABET = "abİσΣ1 \n(-/,.é\u0301_"


def is_mark(c):
    return unicodedata.combining(c) != 0


def inside(text, i):
    """Whether a word goes on across place i: letters, digits and the accents on them."""
    if i in (0, len(text)) or not (text[i].isalnum() or is_mark(text[i])):
        return False
    before = i - 1
    while before > 0 and is_mark(text[before]):
        before -= 1
    return text[before].isalnum()


def space_ends(text, i):
    """Where a run of white space that begins at i ends; i if it begins before i, or not."""
    end = i
    while end < len(text) and text[end].isspace():
        end += 1
    return end


def ends_of(low, start, key):
    """Where `key` ends if it stands at `start`, a run of white space standing for one space."""
    place = start
    for c in key:
        if c == " ":
            end = space_ends(low, place)
            if end == place or (place and low[place - 1].isspace()):
                return None
            if low[place:end].count("\n") > 1:
                return None
            place = end
        elif place < len(low) and low[place] == c:
            place += 1
        else:
            return None
    return place


def naive(terms, text, boundaries):
    """Maximum forward matching, place by place, term by term."""
    low = text.lower()
    where = [i for i, c in enumerate(text) for _ in c.lower()] + [len(text)]
    keys = {}
    for number, term in enumerate(terms):
        key = " ".join(term.lower().split())
        if len(key) > 1 and any(c.isalnum() for c in key):
            keys.setdefault(key, number)
    found, place = [], 0
    while place < len(low):
        best = max(
            (hit for key in keys if (hit := here(low, place, key, boundaries))), default=None
        )
        if best is None:
            place += 1
            continue
        end, key = best
        found.append((where[place], where[end - 1] + 1, keys[key]))
        place = end
    return found


def here(low, place, key, boundaries):
    if boundaries == "words":
        end = None if inside(low, place) else ends_of(low, place, key)
        return (end, key) if end is not None and not inside(low, end) else None
    end = place + len(key)
    at_left = place == 0 or low[place - 1] in " ("
    at_right = end >= len(low) or not (low[end].isalnum() and low[end - 1].isalnum())
    return (end, key) if at_left and low.startswith(key, place) and at_right else None


TERMS = st.lists(st.text(ALPHABET, min_size=1, max_size=5), max_size=8)


@pytest.mark.parametrize("boundaries", ["words", "released"])
@settings(max_examples=600, deadline=None)
@given(terms=TERMS, text=st.text(ALPHABET, max_size=30))
@example(terms=["ab a", "ab ab", "ab"], text="ab ab")
@example(terms=["bİb"], text="İbİb bİb İ bİb")
def test_equals_the_plain_reading(boundaries, terms, text):
    matcher = Matcher(terms, boundaries=boundaries)
    assert [tuple(m) for m in matcher.find(text)] == naive(terms, text, boundaries)


@pytest.mark.parametrize("boundaries", ["words", "released"])
@settings(max_examples=200, deadline=None)
@given(terms=TERMS, data=st.data())
def test_equals_it_on_texts_made_of_terms(boundaries, terms, data):
    parts = st.sampled_from([*terms, " ", "(", "/", "\n", "a", "-"])
    text = "".join(data.draw(st.lists(parts, max_size=12)))
    matcher = Matcher(terms, boundaries=boundaries)
    assert [tuple(m) for m in matcher.find(text)] == naive(terms, text, boundaries)


def words(terms, text, **options):
    return [text[m.start : m.end] for m in Matcher(terms, **options).find(text)]


@pytest.mark.parametrize(
    ("text", "ours", "released"),
    [
        ("CHF/COPD", ["CHF", "COPD"], ["CHF"]),
        ('"fever"', ["fever"], []),
        ("fever,pneumonia", ["fever", "pneumonia"], ["fever"]),
        ("(fever) pneumonia.", ["fever", "pneumonia"], ["fever", "pneumonia"]),
        ("feverish prechf", [], []),
        ("___fever", ["fever"], []),
        ("lung\ncancer", ["lung\ncancer"], ["lung"]),
        ("lung\n\ncancer", ["lung", "cancer"], ["lung"]),
    ],
)
def test_the_examples_of_the_faults_table(text, ours, released):
    terms = ["chf", "copd", "fever", "pneumonia", "lung", "cancer", "lung cancer"]
    assert words(terms, text) == ours
    assert words(terms, text, boundaries="released") == released


def test_a_long_term_that_ends_inside_a_word_hides_no_shorter_one():
    assert words(["heart", "heart fail"], "heart failure") == ["heart"]


def test_letters_that_grow_in_lower_case_keep_the_offsets():
    text = "İİ diyabet İ, KOAH"
    assert [text[m.start : m.end] for m in Matcher(["koah", "diyabet"]).find(text)] == [
        "diyabet",
        "KOAH",
    ]


def test_terms_that_are_left_out_are_counted():
    matcher = Matcher(["a", "%%", "All", "fever", " "], leave_out=["ALL"])
    assert len(matcher) == 1
    assert matcher.left_out == {
        "shorter than 2 characters": 2,
        "no letter or digit": 1,
        "not wanted": 1,
    }
    assert words(["a"], "a b", shortest=1) == ["a"]


def test_a_term_of_ten_thousand_characters_is_found():
    long = "ab " * 3_333 + "b"
    assert words([long], f"x {long} x") == [long]


@pytest.mark.parametrize("text", ["", " ", "\0\1", "\ud800 fever", "fever\U000f0000"])
def test_odd_texts(text):
    assert words(["fever"], text) == ["fever"] * text.count("fever")


def test_no_terms():
    assert words([], "fever") == []


def test_several_processes_find_the_same_in_the_same_order():
    matcher = Matcher(["fever", "cough"])
    texts = [f"{n} fever {'cough' * (n % 2)}" for n in range(300)]
    assert list(matcher.find_many(texts, workers=2)) == list(matcher.find_many(texts))


@pytest.mark.parametrize("boundaries", ["words", "released"])
def test_saved_and_pickled(tmp_path, boundaries):
    matcher = Matcher(["a", "lung cancer", "fever"], boundaries=boundaries)
    matcher.save(tmp_path / "m")
    text = "Lung cancer, fever (fever)"
    for other in (Matcher.load(tmp_path / "m"), pickle.loads(pickle.dumps(matcher))):
        assert other.find(text) == matcher.find(text)
        assert (other.boundaries, other.left_out, len(other)) == (boundaries, matcher.left_out, 2)


def test_a_file_that_is_no_matcher(tmp_path):
    file = tmp_path / "m"
    with pytest.raises(GraphError, match="there is no file"):
        Matcher.load(file)
    file.write_bytes(b"\xff\n")
    with pytest.raises(GraphError, match="is no matcher"):
        Matcher.load(file)
    Matcher(["fever"]).save(file)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(GraphError, match="damaged"):
        Matcher.load(file)


@pytest.mark.parametrize(
    "options", [{"boundaries": "none"}, {"shortest": 0}, {"shortest": "2"}, {"terms": "fever"}]
)
def test_bad_arguments(options):
    with pytest.raises(BadArgument):
        Matcher(**{"terms": ["fever"], **options})


def test_more_words_than_there_are_single_codes(monkeypatch):
    coded = {as_text(array("I", [_code(n)])) for n in range(SINGLE - 3, SINGLE + 70_000)}
    assert len(coded) == 70_003
    assert {len(code) for code in coded} == {1, 2}
    assert not 0xD800 <= _code(0xD7FE) < 0xE000
    monkeypatch.setattr("drehr_rag.kg._words.SINGLE", 3)
    terms = ["lung cancer", "cancer", "fever", "heart attack", "heart"]
    text = "fever, heart attack; lung cancer of the heart"
    assert words(terms, text) == ["fever", "heart attack", "lung cancer", "heart"]
    assert isinstance(Words(["a"]), dict)
