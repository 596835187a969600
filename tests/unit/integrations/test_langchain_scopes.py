"""A scope given first is a ceiling."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import ScopeError, ScopeRequired
from drehr_rag.integrations.langchain._scopes import narrowest
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient

P1, P2 = Patient("p1"), Patient("p2")
STAY = Encounter("p1", "e1")
BOTH = Cohort(["p1", "p2"])
ALL = AllPatients(reason="test")
NARROWER = [(ALL, ALL), (ALL, BOTH), (ALL, P1), (ALL, STAY), (BOTH, Cohort(["p1"])), (BOTH, P1),
            (BOTH, STAY), (BOTH, Cohort([])), (P1, P1), (P1, STAY), (P1, Cohort(["p1"])),
            (STAY, STAY), (STAY, Cohort([])), (Cohort([]), Cohort([]))]  # fmt: skip
WIDER = [(BOTH, ALL), (P1, ALL), (STAY, ALL), (P1, BOTH), (P1, P2), (STAY, P1), (STAY, BOTH),
         (STAY, Encounter("p1", "e2")), (STAY, Encounter("p2", "e1")), (P1, Encounter("p2", "e1")),
         (BOTH, Patient("p3")), (Cohort([]), P1), (STAY, Cohort(["p1"])),
         (Cohort([]), AllPatients(reason="x"))]  # fmt: skip


@pytest.mark.parametrize(("ceiling", "scope"), NARROWER)
def test_narrower_scopes_win(ceiling, scope):
    assert narrowest(ceiling, scope) is scope
    assert narrowest(ceiling, None) is ceiling
    assert narrowest(None, scope) is scope


@pytest.mark.parametrize(("ceiling", "scope"), WIDER)
def test_wider_scopes_are_refused_and_nobody_is_named(ceiling, scope):
    with pytest.raises(ScopeError, match="never widened") as caught:
        narrowest(ceiling, scope)
    assert "p1" not in str(caught.value) and "p2" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["p1", 1, {"patient_id": "p1"}, Patient, ["p1"], False, 0, ""])
def test_only_a_scope_is_a_scope(wrong):
    for scopes in ((wrong,), (ALL, wrong), (wrong, P1)):
        with pytest.raises(ScopeRequired, match="scope="):
            narrowest(*scopes)


def test_none_at_all_is_an_error():
    for scopes in ((), (None,), (None, None, None)):
        with pytest.raises(ScopeRequired, match="scope="):
            narrowest(*scopes)


PATIENTS, STAYS = ["p1", "p2", "p3"], ["e1", "e2"]
scopes = st.one_of(
    st.builds(Patient, st.sampled_from(PATIENTS)),
    st.builds(Encounter, st.sampled_from(PATIENTS), st.sampled_from(STAYS)),
    st.builds(Cohort, st.lists(st.sampled_from(PATIENTS))),
    st.just(ALL),
)


def reach(scope):
    """Every (patient, stay) that a scope can see, spelt out."""
    everything = {(p, e) for p in [*PATIENTS, None] for e in [*STAYS, None]}
    if isinstance(scope, AllPatients):
        return everything
    if isinstance(scope, Encounter):
        return {(scope.patient_id, scope.encounter_id)}
    patients = scope.patient_ids if isinstance(scope, Cohort) else {scope.patient_id}
    return {(p, e) for p, e in everything if p in patients}


@given(chain=st.lists(scopes, min_size=1, max_size=4))
def test_the_result_never_reaches_further_than_any_of_them(chain):
    try:
        scope = narrowest(*chain)
    except ScopeError:
        assert any(not reach(b) <= reach(a) for a, b in pairwise(chain))
    else:
        assert all(reach(scope) <= reach(one) for one in chain)
        assert reach(scope) == set.intersection(*map(reach, chain))
