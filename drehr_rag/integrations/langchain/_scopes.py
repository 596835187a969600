"""Whose notes a call may see: the scopes of constructor, config and call, each inside the last."""

import re
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from drehr_rag._arguments import HOW
from drehr_rag.errors import ScopeError, ScopeRequired, UnknownName
from drehr_rag.integrations._ceiling import checked_scope, narrowed
from drehr_rag.types import Encounter, Patient, Scope


def narrowest(*scopes: object) -> Scope:
    """The last of the scopes that are given, each of which must lie within the one before it.

    Raises:
        ScopeRequired: None is given, or one of them is no scope.
        ScopeError: One reaches outside the one before it.
    """
    ceiling: Scope | None = None
    for scope in scopes:
        if scope is not None:
            ceiling = checked_scope(scope) if ceiling is None else narrowed(ceiling, scope)
    if ceiling is None:
        raise ScopeRequired(HOW)
    return ceiling


_MEANT = {"scope", "patient", "patientid", "encounter", "encounterid"}


def configured(config: Mapping[str, Any]) -> Scope | None:
    """The scope that a config names under `configurable`: `patient_id`, and `encounter_id`.

    A name that is nearly right is an error: a session of one patient must not search everybody's
    notes because somebody wrote `patientId`.

    Raises:
        UnknownName: A name is nearly right.
        ScopeError: An id is blank or is no id.
    """
    given = config.get("configurable") or {}
    for key in set(given) - {"patient_id", "encounter_id"}:
        if re.sub(r"[\W_]", "", str(key)).lower() in _MEANT:
            raise UnknownName(f"configurable {key!r}: only patient_id and encounter_id are read")
    if "encounter_id" in given:
        if "patient_id" not in given:
            raise ScopeError("configurable encounter_id: name its patient_id too")
        return Encounter(given["patient_id"], given["encounter_id"])
    return Patient(given["patient_id"]) if "patient_id" in given else None


def around() -> Scope | None:
    """The scope of the chain or agent inside which this runs.

    Raises:
        UnknownName: A name in its config is nearly right.
        ScopeError: An id is blank or is no id.
    """
    return configured(var_child_runnable_config.get() or {})
