"""How a store keeps its vectors, and how it is talked to: typed options, checked when given."""

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from drehr_rag.errors import BadArgument

NARROW_ABOVE = 1024
"""Dimensions above which numbers take two bytes by default: at 4096-d recall stayed 1.0 in half
the time and 0.7 of the space (ECOSYSTEM.md section 2.4, measured)."""

CANDIDATES = 512
"""Candidates while the graph is searched: at 200,000 chunks .993 of the true first 10 and .987 of
the first 100 are found in 5.4 ms; by the engine's default .940 and .885 in 1.7 ms
(docs/scaling.md)."""

Positive = Annotated[int, Field(ge=1, le=2**16 - 1)]
"""No option means more, and the engine's own whole numbers end somewhere."""


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        """Check what is given.

        Raises:
            BadArgument: An option does not exist, or its value cannot be meant.
        """
        try:
            super().__init__(**values)
        except ValidationError as problem:
            raise BadArgument(_explained(type(self), problem)) from None

    def but(self, **values: Any) -> Self:
        """The same with some options changed."""
        return type(self)(**{**dict(self), **values})


class Layout(_Options):
    """How a new store keeps its vectors; remembered in its manifest.

    Args:
        precision: Of the numbers; above 1024 dimensions `float16`, else `float32`.
        quantisation: A copy in one byte or one bit a number, searched first; the best are scored
            again by the vectors themselves. None keeps no copy.
        on_disk: Whether the vectors, and in a folder the texts too, stay on disk instead of in
            memory; the copy, if any, is held in memory. A server keeps texts as it was set up to.
        hnsw_m: Edges a node of the graph (Qdrant's default).
        hnsw_ef_construct: Candidates while the graph is built (Qdrant's default).
        shards: Parts of the collection, over the nodes of a cluster; None leaves it to the server.
        replicas: Copies of each shard on different nodes.
        write_consistency: Copies that must have taken a write before it counts as done.
    """

    precision: Literal["float32", "float16"] | None = None
    quantisation: Literal["int8", "binary"] | None = None
    on_disk: bool = False
    hnsw_m: Positive = 16
    hnsw_ef_construct: Positive = 100
    shards: Positive | None = None
    replicas: Positive = 1
    write_consistency: Positive = 1

    def resolved(self, dimension: int) -> "Layout":
        """With a precision."""
        narrow = dimension > NARROW_ABOVE
        return self.but(precision=self.precision or ("float16" if narrow else "float32"))

    def on_one_node(self) -> "Layout":
        """Without what only a cluster has."""
        cluster = ("shards", "replicas", "write_consistency")
        return self.but(**{name: type(self).model_fields[name].default for name in cluster})


class Access(_Options):
    """How a store is talked to; nothing of it is remembered.

    Args:
        exact: Search every vector (True) or the graph (False); None is exact below 50,000 chunks.
        hnsw_ef: Candidates while the graph is searched; fewer are faster and find less.
        oversampling: With quantisation, how many times k are scored again by the vectors.
        api_key: For a server; the environment's `QDRANT_API_KEY` if not given.
        grpc: Whether requests go over gRPC instead of REST.
        grpc_port: Where the server listens for it.
        ca_file: Certificates to trust besides the machine's, for a server with its own.
        timeout: Seconds a request may take.
        retries: Times a request is sent again after 429, 5xx or a broken connection.
        uploads: Batches on the way at a time.
        read_consistency: Replicas asked: a number, or `majority`, `quorum`, `all`.
        write_ordering: `weak`, `medium` or `strong`, in Qdrant's sense.
    """

    exact: bool | None = None
    hnsw_ef: Positive = CANDIDATES
    oversampling: Annotated[float, Field(ge=1, le=1000)] = 3.0
    api_key: SecretStr | None = None
    grpc: bool = False
    grpc_port: Positive = 6334
    ca_file: Path | None = None
    timeout: Positive = 60
    retries: Annotated[int, Field(ge=0, le=1000)] = 5
    uploads: Positive = 4
    read_consistency: Positive | Literal["majority", "quorum", "all"] | None = None
    write_ordering: Literal["weak", "medium", "strong"] | None = None


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """The layout that a store was made with; stores from before there were any have the default.

    Raises:
        BadArgument: It holds what no layout can.
    """
    return Layout(**manifest.get("layout", {})).resolved(manifest["dimension"])


def _explained(kind: type[BaseModel], problem: ValidationError) -> str:
    first = problem.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    what = kind.__name__.lower()
    if first["type"] == "extra_forbidden":
        return f"{what} has no option {name!r}: there are {', '.join(kind.model_fields)}"
    wanted = kind.model_fields[name].annotation
    choices = [
        repr(value)
        for part in getattr(wanted, "__args__", ())
        if part is not types.NoneType
        for value in getattr(part, "__args__", ())
        if isinstance(value, str)
    ]
    hint = f" (one of {', '.join(choices)})" if choices else ""
    return f"{what} option {name}: {first['msg']}{hint}"
