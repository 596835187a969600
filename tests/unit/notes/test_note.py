"""A note is checked at the edge: ids of any type, times, text that can be stored."""

import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from pydantic import ValidationError

from drehr_rag.types import Cohort, Note, Patient

SECRET = "Zebedee has gout"


def note(**fields):
    return Note(**{"note_id": "n1", "patient_id": "p1", "text": "Gout.", **fields})


@pytest.mark.parametrize(
    "given",
    [10000032, "10000032", " 10000032\n", 10000032.0, np.int64(10000032), np.float64(10000032)],
)
def test_an_id_is_the_same_string_whatever_its_type(given):
    made = note(note_id=given, patient_id=given, encounter_id=given)
    assert (made.note_id, made.patient_id, made.encounter_id) == ("10000032",) * 3
    assert Patient(given) == Patient("10000032")
    assert Cohort([given]) == Cohort(["10000032"])


def test_leading_zeros_are_part_of_an_id():
    assert note(patient_id="007").patient_id == "007"


@pytest.mark.parametrize(
    "given",
    [None, "", "  ", True, np.True_, 1.5, math.nan, math.inf, b"p1", ["p1"], Decimal(1), "\ud800"],
)
@pytest.mark.parametrize("field", ["note_id", "patient_id"])
def test_what_is_no_id_is_refused(field, given):
    with pytest.raises(ValidationError):
        note(**{field: given})


@pytest.mark.parametrize("blank", [None, "", math.nan])
def test_an_encounter_may_be_unknown(blank):
    assert note(encounter_id=blank).encounter_id is None


@pytest.mark.parametrize("bad", [True, 1.5, ["e"], "\udfff"])
def test_but_not_nonsense(bad):
    with pytest.raises(ValidationError):
        note(encounter_id=bad)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2180-05-07", datetime(2180, 5, 7)),
        (" 2180-05-07 13:01:00 ", datetime(2180, 5, 7, 13, 1)),
        ("2180-05-07T13:01", datetime(2180, 5, 7, 13, 1)),
        (date(2180, 5, 7), datetime(2180, 5, 7)),
        (datetime(2180, 5, 7, 13), datetime(2180, 5, 7, 13)),
        ("", None),
        (None, None),
    ],
)
def test_times(given, meant):
    assert note(written_at=given).written_at == meant


@pytest.mark.parametrize("bad", [2004, "07/05/2180", "soon", 1.0, "2180-13-01"])
def test_what_is_no_time_is_refused(bad):
    with pytest.raises(ValidationError, match="not a date"):
        note(written_at=bad)


@pytest.mark.parametrize("bad", [None, "", " \n\t", 7, b"bytes", "half \ud83d"])
def test_text_must_be_text(bad):
    with pytest.raises(ValidationError):
        note(text=bad)


def test_text_is_left_untouched():
    raw = "\ufeff\r\n  HPI:\tgout \n\n"
    assert note(text=raw).text == raw


def test_fields_that_a_note_does_not_have_are_refused():
    with pytest.raises(ValidationError):
        note(patient="p1")


def test_a_note_cannot_be_changed():
    with pytest.raises(ValidationError):
        note().patient_id = "p2"


def test_neither_repr_nor_error_shows_text():
    assert SECRET not in repr(note(text=SECRET, metadata={"title": SECRET}))
    with pytest.raises(ValidationError) as caught:
        note(text=SECRET, written_at=SECRET, metadata=SECRET)
    assert SECRET not in str(caught.value)
