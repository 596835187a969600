"""A ceiling can be narrowed and never widened."""

import itertools

import pytest

from drehr_rag.errors import ScopeError, ScopeRequired
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient

PATIENTS = ["p1", "p2", "p3", None]
EVERYONE = list(itertools.product(PATIENTS, ["e1", "e2", None]))
SCOPES = [
    AllPatients(reason="test"),
    AllPatients(reason="another"),
    Patient("p1"),
    Patient("p2"),
    Encounter("p1", "e1"),
    Encounter("p1", "e2"),
    Encounter("p2", "e1"),
    Cohort([]),
    Cohort(["p1"]),
    Cohort(["p1", "p2"]),
    Cohort(["p1", "p2", "p3"]),
]


def reached(scope):
    """Who is inside, written once more and naively: (patient, encounter) of each chunk."""
    if isinstance(scope, AllPatients):
        return set(EVERYONE)
    if isinstance(scope, Encounter):
        return {(scope.patient_id, scope.encounter_id)}
    names = scope.patient_ids if isinstance(scope, Cohort) else {scope.patient_id}
    return {(patient, encounter) for patient, encounter in EVERYONE if patient in names}


@pytest.mark.parametrize(("ceiling", "wanted"), list(itertools.product(SCOPES, SCOPES)))
def test_what_is_inside_is_given_and_what_is_not_is_refused(ceiling, wanted):
    if reached(wanted) <= reached(ceiling):
        assert narrowed(ceiling, wanted) == wanted
    else:
        with pytest.raises(ScopeError, match="never widened"):
            narrowed(ceiling, wanted)


@pytest.mark.parametrize("no_scope", [None, "p1", {}, [], AllPatients, ("p1",)])
def test_only_a_scope_is_a_scope(no_scope):
    with pytest.raises(ScopeRequired, match="Patient"):
        narrowed(AllPatients(reason="test"), no_scope)
    with pytest.raises(ScopeRequired, match="Patient"):
        checked_scope(no_scope)
