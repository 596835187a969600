"""Qdrant's REST calls, read from `qdrant_client`: what each may hold in path, query and body.

Nothing is written down by hand: every request builder of the client is asked once with a marker
in each of its arguments, and where the marker comes out tells whether the argument belongs in the
path, the query or the body; its annotation tells which of the client's models it must be.
"""

import importlib
import inspect
import json
import pkgutil
import re
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl, unquote

from pydantic import TypeAdapter, ValidationError
from qdrant_client.http import api


class BadRequest(Exception):
    """A request that is not Qdrant's."""


@dataclass(frozen=True)
class Call:
    """One of Qdrant's calls.

    Attributes:
        name: As the client calls it, such as `upsert_points`.
        method: The HTTP method.
        path: Matches the paths of this call and names their parts.
        query: The arguments that may stand in the query, with their types.
        body: The model of the body; None where there is none.
        file: The argument that is sent as a file; None where there is none.
        answer: The model of the answer, with its envelope.
    """

    name: str
    method: str
    path: re.Pattern[str]
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    file: str | None = None
    answer: Any = None

    def parse_query(self, text: str) -> dict[str, Any]:
        """The arguments of a query string.

        Raises:
            BadRequest: One is unknown, given twice or of the wrong type.
        """
        found: dict[str, Any] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            if name not in self.query or name in found:
                raise BadRequest(f"{self.name}: the query may not hold {name}={value}")
            found[name] = self._query_value(name, value)
        if found.get("timeout", 1) < 1:
            raise BadRequest(f"{self.name}: timeout must be 1 or larger")
        return found

    def _query_value(self, name: str, value: str) -> Any:
        kind = self.query[name]
        if kind is bool and value not in ("true", "false"):
            raise BadRequest(f"{self.name}: {name} is true or false, not {value}")
        readings = [int(value)] if re.fullmatch(r"\d+", value) else []
        for reading in [*readings, value]:
            try:
                return adapter(kind).validate_python(reading)
            except ValidationError:
                continue
        raise BadRequest(f"{self.name}: {name}={value} is no {kind}")

    def parse_body(self, raw: bytes) -> Any:
        """The body as the client's own model; of a call that takes a file, as it is.

        Raises:
            BadRequest: It is no JSON, or has unknown, missing or wrong fields.
        """
        if self.file is not None:
            return raw
        if self.body is None:
            if raw:
                raise BadRequest(f"{self.name} takes no body")
            return None
        try:
            json.loads(raw, parse_constant=_refuse)
            return adapter(self.body).validate_json(raw, strict=True)
        except ValidationError as problem:
            raise BadRequest(f"{self.name}: {_told(problem)}") from None
        except ValueError as problem:
            raise BadRequest(f"{self.name}: the body is no JSON: {problem}") from None


def find(method: str, path: str) -> tuple[Call, dict[str, str]]:
    """The call of a request, and the parts of its path.

    Raises:
        BadRequest: Qdrant has no such call.
    """
    for call in calls().values():
        match = call.path.fullmatch(path)
        if match and call.method == method:
            return call, {name: unquote(part) for name, part in match.groupdict().items()}
    raise BadRequest(f"Qdrant has no call {method} {path}")


@cache
def calls() -> dict[str, Call]:
    """Every call that the client can make, those with fixed paths first."""
    found = [
        _read(builders, name.removeprefix("_build_for_"))
        for module in pkgutil.iter_modules(api.__path__)
        for builders in _builders(f"{api.__name__}.{module.name}")
        for name in vars(builders)
        if name.startswith("_build_for_")
    ]
    return {call.name: call for call in sorted(found, key=lambda call: call.path.groups)}


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's checker of a type."""
    return TypeAdapter(kind)


def models_of(kind: Any, seen: set[type] | None = None) -> set[type]:
    """Every model that a value of this type can hold, at any depth."""
    seen = set() if seen is None else seen
    if get_origin(kind) in (Union, UnionType) or get_args(kind):
        for part in get_args(kind):
            models_of(part, seen)
    elif inspect.isclass(kind) and hasattr(kind, "model_fields") and kind not in seen:
        seen.add(kind)
        for part in kind.model_fields.values():
            models_of(part.annotation, seen)
    return seen


class _Marked:
    """What comes out of a builder that got this is where the argument goes."""

    value = "marked"

    def __str__(self) -> str:
        return self.value


class _Catch:
    """In the place of the client's HTTP connection."""

    def request(self, **request: Any) -> dict[str, Any]:
        return request


def _builders(module: str) -> list[type]:
    found = vars(importlib.import_module(module)).values()
    return [
        kind for kind in found if inspect.isclass(kind) and re.fullmatch(r"_\w+Api", kind.__name__)
    ]


def _read(builders: type, name: str) -> Call:
    build = getattr(builders(_Catch()), f"_build_for_{name}")
    given = inspect.signature(build).parameters
    path = {p: "x" for p, parameter in given.items() if parameter.default is parameter.empty}
    query, body, file = {}, None, None
    for argument in given.keys() - path.keys():
        request = build(**path, **{argument: _Marked()})
        if isinstance(request.get("content"), _Marked):
            body = given[argument].annotation
        elif argument in (request.get("files") or {}):
            file = argument
        elif _Marked.value in request.get("params", {}).values():
            (key,) = (k for k, v in request["params"].items() if v == _Marked.value)
            query[key] = given[argument].annotation
    plain = build(**path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", plain["url"])
    return Call(name, plain["method"], re.compile(pattern), query, body, file, plain["type_"])


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _told(problem: ValidationError) -> str:
    """What is wrong and where; of a union's many complaints, unknown fields first."""
    errors = problem.errors(include_url=False, include_input=False)
    unknown = [e for e in errors if e["type"] == "extra_forbidden"]
    return "; ".join(
        f"{'.'.join(str(step) for step in e['loc'])}: {e['msg']}" for e in (unknown or errors)[:4]
    )
