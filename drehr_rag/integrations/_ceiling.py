"""A scope given to a constructor is a ceiling: what comes later may narrow it, never widen it."""

from drehr_rag._arguments import HOW
from drehr_rag.errors import ScopeError, ScopeRequired
from drehr_rag.types import AllPatients, Cohort, Patient, Scope


def checked_scope(scope: object) -> Scope:
    """The scope, if it is one.

    Raises:
        ScopeRequired: It is missing or something else.
    """
    if not isinstance(scope, Scope):
        raise ScopeRequired(HOW)
    return scope


def narrowed(ceiling: Scope, wanted: object) -> Scope:
    """The wanted scope, if it lies inside the ceiling.

    Raises:
        ScopeRequired: What is wanted is no scope.
        ScopeError: It reaches beyond the ceiling.
    """
    scope = checked_scope(wanted)
    if not _inside(scope, ceiling):
        raise ScopeError(
            f"the {type(scope).__name__} that is asked for is not inside the "
            f"{type(ceiling).__name__} that was given first: a scope can be narrowed, never widened"
        )
    return scope


def _inside(scope: Scope, ceiling: Scope) -> bool:
    if isinstance(ceiling, AllPatients) or scope == ceiling:
        return True
    if isinstance(scope, AllPatients):
        return False
    if isinstance(scope, Cohort):
        return all(_inside(Patient(name), ceiling) for name in scope.patient_ids)
    if isinstance(ceiling, Cohort):
        return scope.patient_id in ceiling.patient_ids
    return isinstance(ceiling, Patient) and scope.patient_id == ceiling.patient_id
