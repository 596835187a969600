"""Arguments that cannot be meant are refused, with the reason."""

import pytest

from drehr_rag._arguments import check_list, check_words
from drehr_rag.errors import BadArgument


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (None, "is empty or is not text"),
        (7, "is empty or is not text"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("?!", "no letter or digit"),
        ("\u200b\x00", "no letter or digit"),
        ("\ud800", "half of a surrogate pair"),
        ("chest \ud800 pain", "half of a surrogate pair"),
    ],
)
def test_a_query_without_a_word_is_refused(words, reason):
    with pytest.raises(BadArgument, match=reason):
        check_words(words, "query")


@pytest.mark.parametrize("words", ["x", "5", "ß", "chest\x00pain", "心不全"])
def test_a_query_with_a_word_is_taken(words):
    check_words(words, "query")


@pytest.mark.parametrize("values", ["n1", b"n1", None, 3])
def test_one_text_is_no_list(values):
    with pytest.raises(BadArgument, match="note_ids is a list"):
        check_list(values, "note_ids")
