"""Entities that an index wrongly finds a chunk by become that chunk's hard negatives."""

import pytest

from drehr_rag import EhrIndex
from drehr_rag.errors import ScopeRequired
from drehr_rag.testing import HashEncoder
from drehr_rag.training.examples import Example
from drehr_rag.training.hard_negatives import ranking_by, ranking_of, with_hard_negatives
from drehr_rag.types import AllPatients, Note

NOTES = {
    "heart": "Heart failure with edema of both legs.",
    "renal": "Renal failure, no edema.",
    "gout": "Gout of the left toe.",
}
EXAMPLES = [
    Example(idx="heart", text=NOTES["heart"], entities=("heart failure", "edema")),
    Example(idx="renal", text=NOTES["renal"], entities=("renal failure",), negatives=("edema",)),
    Example(idx="gout", text=NOTES["gout"], entities=("gout",)),
]


def ranked(table):
    return lambda entities: [[NOTES[name] for name in table.get(e, "").split()] for e in entities]


def negatives(examples, table, **options):
    return {e.idx: e.negatives for e in with_hard_negatives(examples, ranked(table), **options)}


def test_the_highest_ranks_first_after_those_it_has():
    table = {"heart failure": "heart gout renal", "gout": "renal", "renal failure": "renal heart"}
    found = negatives(EXAMPLES, table)
    assert found == {
        "heart": ("renal failure",),
        "renal": ("edema", "gout", "heart failure"),
        "gout": ("heart failure",),
    }
    assert negatives(EXAMPLES, table, most=2)["renal"] == ("edema", "gout")
    assert negatives(EXAMPLES, table, most=0)["renal"] == ("edema",)


def test_own_entities_are_none_by_text_or_concept():
    one = Example(idx="1", text=NOTES["heart"], entities=("CHF", "Gout"), concepts=("C1", None))
    two = Example(
        idx="2", text=NOTES["gout"], entities=("gout", "heart failure"), concepts=(None, "C1")
    )
    everything = {entity: "heart gout" for entity in ("CHF", "Gout", "gout", "heart failure")}
    assert negatives([one, two], everything) == {"1": (), "2": ()}


def test_a_chunk_without_an_example_is_passed_over():
    assert negatives(EXAMPLES[:1], {"edema": "gout"}) == {"heart": ()}


def test_from_a_real_index():
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=256)) as index:
        index.add([Note(note_id=n, patient_id=n, text=text) for n, text in NOTES.items()])
        ranking = ranking_of(index, scope=AllPatients(reason="training"), depth=2, mode="lexical")
        heart, renal, gout = with_hard_negatives(EXAMPLES, ranking)
        with pytest.raises(ScopeRequired):
            ranking_of(index, scope=None)(["gout"])
    assert heart.negatives == ("renal failure",)
    assert renal.negatives == ("edema", "heart failure")
    assert gout.negatives == ()


def test_from_an_encoder_as_from_an_index():
    told = []
    ranking = ranking_by(HashEncoder(), EXAMPLES, depth=2, told=lambda *counts: told.append(counts))
    entities = ["heart failure", "edema", "renal failure", "gout"]
    found = ranking(entities)
    assert [len(texts) for texts in found] == [2] * 4
    vectors = (
        HashEncoder().encode_queries(entities)
        @ HashEncoder().encode_passages(list(NOTES.values())).T
    )
    best = [list(NOTES.values())[place] for place in vectors.argmax(axis=1)]
    assert [texts[0] for texts in found] == best
    assert told == [(3, 3), (7, 7)]
    repeated = [*EXAMPLES, EXAMPLES[0].model_copy(update={"idx": "again"})]
    assert ranking_by(HashEncoder(), repeated, depth=9)(["gout"])[0].count(NOTES["heart"]) == 1
