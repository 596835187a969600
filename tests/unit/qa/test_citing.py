"""A quote is found in its passage, and the citation points at the note's own words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.qa.claims import Claim
from drehr_rag.qa.passages import Passage
from drehr_rag.qa.verifying import verified
from drehr_rag.types import Chunk, Hit

NOTE = "Name: ___\nHPI: He takes  Aspirin\n81 mg (b.i.d.) [home]; BNP(pg/mL): 900. No PE.  "


def passage(note, start=0, end=None):
    end = len(note) if end is None else end
    source = note[start:end]
    return Hit(Chunk("c1", "n1", "p1", start, end, source, source, section="plan"), 1.0)


def cite(quote, number, hits):
    """The citation of a claim with this quote from the passage of this number, or None."""
    passages = [Passage(hit, (hit.chunk,)) for hit in hits]
    citations, _ = verified(Claim("Said.", (number,), quote), passages, "Why?")
    return citations[0] if citations else None


def quoted(quote, note=NOTE, start=0):
    """What the citation of a quote points at, or None."""
    citation = cite(quote, 1, [passage(note, start)])
    if citation is None:
        return None
    assert note[citation.start : citation.end] == citation.quote
    return citation.quote


@pytest.mark.parametrize("start", [0, 10])
@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("takes  Aspirin\n81 mg", "takes  Aspirin\n81 mg"),
        ("takes aspirin 81 MG", "takes  Aspirin\n81 mg"),
        ("  takes\taspirin\u00a081 mg \n", "takes  Aspirin\n81 mg"),
        ("mg (b.i.d.) [home]", "mg (b.i.d.) [home]"),
        ("No PE.", "No PE."),
        ("no pe", "No PE"),
    ],
)
def test_white_space_and_case_do_not_matter(quote, found, start):
    assert quoted(quote, start=start) == found


@pytest.mark.parametrize(
    "quote",
    [
        "takes Plavix",
        "Aspirin 81 mg daily",
        "takes (b.i.d.)",
        "takes.*Aspirin",
        "No P",
        "spirin",
        "Asp irin",
        "PE",
        "00",
        "a",
        "",
        "  \n",
        "Name: x",
    ],
)
def test_what_is_not_there_is_not_cited(quote):
    assert quoted(quote) is None


@pytest.mark.parametrize("quote", ["(pg/mL): 900", "BNP(", "[home]"])
def test_a_quote_may_begin_or_end_with_a_sign_beside_a_word(quote):
    assert quoted(quote) == quote


@pytest.mark.parametrize(
    "words", ["a.b.c", "(((", "[**x**]", "5+5=10?", "\\d+\\w", "^start$", "a|b", "{2,3}", "xy\\"]
)
def test_signs_are_signs_and_no_pattern(words):
    assert quoted(words, note=f"Before {words} after") == words
    assert quoted(words, note="Before axbxc 55510 d2w after") is None


@pytest.mark.parametrize(
    ("quote", "note"),
    [
        ("\u201cno pain\u201d \u2013 she said", '"No pain" - she said'),
        ("aspirin 81 mg", "as\u200bpirin 81\u00a0\u338e"),
        ("pa\u2011ra\u200dcetamol", "PA-RACETAMOL"),
        ("\u2039/passage>", "</passage>"),
        ("strasse", "Straße"),
    ],
)
def test_signs_that_look_alike_or_are_not_seen(quote, note):
    assert quoted(quote, note=f"Before {note} after") == note


@pytest.mark.parametrize(
    ("quote", "note"),
    [("5 mg", "2.5 mg"), ("potassium 4", "potassium 4.8"), ("diabetic", "non-diabetic"),
     ("1,000 mL", "11,000 mL"), ("type", "type-specific")],
)  # fmt: skip
def test_a_part_of_a_number_or_a_word_is_none_of_it(quote, note):
    assert quoted(quote, note=f"Before {note} after") is None


@pytest.mark.parametrize("number", [0, -1, 3, 10**9])
def test_a_passage_that_does_not_exist(number):
    assert cite("Aspirin", number, [passage(NOTE), passage(NOTE)]) is None


def test_only_the_named_passage_counts():
    hits = [passage("Gout in the toe."), passage("Diabetes.")]
    assert cite("Gout", 2, hits) is None
    assert cite("Gout", 1, hits) is not None


def test_a_citation_says_where_it_stands():
    citation = cite("81 mg", 1, [passage(NOTE, 10)])
    assert (citation.note_id, citation.patient_id) == ("n1", "p1")
    assert (citation.section, citation.chunk_id) == ("plan", "c1")
    assert citation.start == NOTE.index("81 mg")
    assert "81 mg" not in repr(citation)


SEEN = st.characters(exclude_categories=["Cf", "Cs"])
TEXTS = st.text(alphabet="aB1 .\n\t([)*é\u00a0-", min_size=1, max_size=60) | st.text(
    SEEN, min_size=1
)


@given(note=TEXTS, data=st.data())
def test_the_slice_of_the_note_is_the_quote(note, data):
    start = data.draw(st.integers(0, len(note)))
    quote = data.draw(st.text(alphabet="aB1 .(", max_size=6))
    quoted(quote, note, start)


def cuts(text):
    """Where a text may be cut without cutting a word or a number."""
    inner = re.compile(r"(?<=\w)(?=\w)|(?<=\w-)|(?=-\w)|(?<=\d[.,])|(?=[.,]\d)")
    return [i for i in range(len(text) + 1) if not inner.match(text, i)]


@given(note=TEXTS, data=st.data())
def test_whole_words_copied_from_the_passage_are_found(note, data):
    places = cuts(note)
    a, b = sorted((data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))))
    copied = note[a:b]
    if len("".join(copied.split())) >= 3:
        found = quoted(copied, note)
        assert found is not None and found in note
        # a word or a "?" beside it that makes it doubtful or denied is shown with it
        assert " ".join(copied.lower().split()) in " ".join(found.lower().split())
