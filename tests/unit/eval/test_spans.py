"""A chunk is relevant when it covers half of a judged stretch; what is lost is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.spans import Span, project
from drehr_rag.types import Chunk

LENGTH = 30


def chunk(start, end, note="n"):
    return Chunk(f"{note}:{start}-{end}", note, "p", start, end, text="x", source="x")


def test_worked_by_hand():
    spans = [Span("q", "n", 0, 10, "string"), Span("q", "n", 14, 24, "synonym")]
    chunks = [chunk(0, 5), chunk(5, 19), chunk(19, 30), chunk(0, 30, "other")]
    found = project(spans, chunks, {"n": LENGTH, "other": LENGTH})
    # 5 of 10 characters are half: both sides of each cut are relevant.
    assert {c: j.match for c, j in found.qrels["q"].items()} == {
        "n:0-5": "string",
        "n:5-19": "string",  # covers half of either: the first judged
        "n:19-30": "synonym",
    }
    assert (found.lost, found.chunks_a_span) == (0, 2.0)


def test_a_stretch_that_no_chunk_covers_is_counted():
    found = project([Span("q", "n", 0, 12)], [chunk(0, 4), chunk(4, 8), chunk(8, 12)], {"n": 12})
    assert (found.qrels, found.lost, found.chunks_a_span) == ({}, 1, 0.0)


@pytest.mark.parametrize("span", [(0, 31), (-1, 5), (5, 5), (6, 5)])
def test_stretches_outside_the_note_are_refused(span):
    with pytest.raises(EvaluationError, match=r"1 of 1 judged stretches .* 'n'"):
        project([Span("q", "n", *span)], [], {"n": LENGTH})
    with pytest.raises(EvaluationError, match="of another version"):
        project([Span("q", "gone", 0, 1)], [], {"n": LENGTH})


PLACES = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda p: (p[0], p[0] + p[1]))


@given(st.lists(PLACES, min_size=1, max_size=5), st.lists(PLACES, max_size=6, unique=True))
def test_as_sets_of_characters_say(spans, chunks):
    found = project(
        [Span("q", "n", *span) for span in spans], [chunk(*c) for c in chunks], {"n": LENGTH}
    )
    relevant = {
        f"n:{start}-{end}"
        for start, end in chunks
        for span in spans
        if 2 * len(set(range(*span)) & set(range(start, end))) >= len(range(*span))
    }
    assert set(found.qrels.get("q", {})) == relevant
