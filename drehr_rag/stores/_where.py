"""The wall: the one function that turns a scope into conditions which every read must meet."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drehr_rag._arguments import HOW
from drehr_rag.errors import ScopeRequired
from drehr_rag.types import AllPatients, Cohort, Encounter, Filters, Patient, Scope

NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Among:
    """The field holds one of these values."""

    field: str
    values: frozenset[str]

    def admits(self, payload: Mapping[str, Any]) -> bool:
        """Whether a chunk's payload meets the condition."""
        return payload.get(self.field) in self.values


@dataclass(frozen=True, slots=True)
class Between:
    """The field holds a number from `low` to `high`, both included; None is no bound."""

    field: str
    low: float | None
    high: float | None

    def admits(self, payload: Mapping[str, Any]) -> bool:
        """Whether a chunk's payload meets the condition."""
        value = payload.get(self.field)
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Except:
    """The field holds a value, and none of these."""

    field: str
    values: frozenset[str]

    def admits(self, payload: Mapping[str, Any]) -> bool:
        """Whether a chunk's payload meets the condition."""
        return payload.get(self.field) is not None and payload[self.field] not in self.values


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chunk is one of these; an engine finds it by its point id, so no field is indexed."""

    values: frozenset[str]

    def admits(self, payload: Mapping[str, Any]) -> bool:
        """Whether a chunk's payload meets the condition."""
        return payload["chunk_id"] in self.values


Condition = Among | Between | Except | Chosen
Where = tuple[Condition, ...]
"""Conditions that must all hold."""


def narrow(scope: Scope, filters: Filters = NO_FILTERS) -> Where | None:
    """The conditions of a scope and its filters; None where nothing can meet them.

    Raises:
        ScopeRequired: The scope is missing or is no scope.
    """
    conditions = [*_of_scope(scope), *_of_filters(filters)]
    if any(isinstance(c, Among | Chosen) and not c.values for c in conditions):
        return None
    return tuple(conditions)


def admits(where: Where, payload: Mapping[str, Any]) -> bool:
    """Whether a chunk's payload meets all conditions."""
    return all(condition.admits(payload) for condition in where)


def timestamp(time: datetime) -> float:
    """Seconds since 1970 in UTC; a time without a zone (MIMIC's are) counts as UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def key(value: str) -> str:
    """A note type or section as it is compared: without case and outer space."""
    return " ".join(value.split()).lower()


def _of_scope(scope: Scope) -> tuple[Among, ...]:
    # isinstance, not duck typing: a look-alike must not pass for everybody.
    if isinstance(scope, AllPatients):
        return ()
    if isinstance(scope, Patient):
        return (Among("patient_id", frozenset({scope.patient_id})),)
    if isinstance(scope, Encounter):
        return (
            Among("patient_id", frozenset({scope.patient_id})),
            Among("encounter_id", frozenset({scope.encounter_id})),
        )
    if isinstance(scope, Cohort):
        return (Among("patient_id", scope.patient_ids),)
    raise ScopeRequired(f"{type(scope).__name__} is no scope: {HOW}")


def _of_filters(filters: Filters) -> list[Condition]:
    conditions: list[Condition] = []
    if filters.note_types is not None:
        conditions.append(Among("note_type_key", frozenset(map(key, filters.note_types))))
    if filters.sections is not None:
        conditions.append(Among("section", frozenset(map(key, filters.sections))))
    if filters.since is not None or filters.until is not None:
        low, high = (None if t is None else timestamp(t) for t in (filters.since, filters.until))
        conditions.append(Between("written_ts", low, high))
    for field in ("patient_id", "encounter_id", "note_id"):
        if (ids := getattr(filters, f"{field}s")) is not None:
            conditions.append(Among(field, frozenset(ids)))
    if filters.chunk_ids is not None:
        conditions.append(Chosen(frozenset(filters.chunk_ids)))
    return conditions
