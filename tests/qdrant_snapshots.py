"""Snapshots of a collection, emulated: a JSON file of its settings, indexes and points."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qdrant_client import models
from qdrant_refusal import Refused


class Snapshots:
    """What a server keeps in its folder of snapshots.

    Args:
        engine: The collections; methods are named as the client's calls.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._taken: dict[str, dict[str, bytes]] = {}
        self._number = 0

    def list_snapshots(self, name: str, **_: Any) -> Any:
        return [_described(*one) for one in self._of(name).items()]

    def create_snapshot(self, name: str, **_: Any) -> Any:
        engine, name = self.engine, self.engine.existing(name)
        points, _ = engine.local.scroll(name, limit=2**31, with_vectors=True)
        made = engine.made[name].model_dump(mode="json", exclude_none=True)
        made["metadata"] = engine.local.get_collection(name).config.metadata
        held = {
            "collection": made,
            "indexes": {field: _plain(schema) for field, schema in engine.indexes[name].items()},
            "points": [
                p.model_dump(mode="json", include={"id", "vector", "payload"}) for p in points
            ],
        }
        self._number += 1
        snapshot = f"{name}-{self._number}-2026-11-21-00-00-00.snapshot"
        self._of(name)[snapshot] = json.dumps(held).encode()
        return _described(snapshot, self._of(name)[snapshot])

    def delete_snapshot(self, name: str, snapshot: str, **_: Any) -> Any:
        self.get_snapshot(name, snapshot)
        del self._of(name)[snapshot]
        return True

    def get_snapshot(self, name: str, snapshot: str, **_: Any) -> bytes:
        taken = self._of(name)
        if snapshot not in taken:
            raise Refused(404, f"Not found: Snapshot {snapshot} not found")
        return taken[snapshot]

    def recover_from_snapshot(self, name: str, *, body: models.SnapshotRecover, **_: Any) -> Any:
        place = urlsplit(body.location)
        if place.scheme == "file":
            content = Path(place.path).read_bytes()
        elif place.scheme in ("http", "https"):  # of this very server: it fetches from nobody else
            _, _, taken_of, _, snapshot = place.path.split("/")
            content = self.get_snapshot(taken_of, snapshot)
        else:
            raise Refused(400, "Bad request: Invalid snapshot URI, file path must be absolute")
        return self._recover(name, content, body.checksum)

    def recover_from_uploaded_snapshot(
        self, name: str, *, query: Mapping[str, Any], body: tuple[str, bytes], **_: Any
    ) -> Any:
        kind, raw = body
        form = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
        parts = form.get_payload() if form.is_multipart() else []
        names = [part.get_param("name", header="content-disposition") for part in parts]
        if names != ["snapshot"]:
            raise Refused(400, "Bad request: there is no file `snapshot` in the form")
        return self._recover(name, parts[0].get_payload(decode=True), query.get("checksum"))

    def _of(self, name: str) -> dict[str, bytes]:
        """Of a collection that is there: they go with it."""
        self._taken = {known: self._taken.get(known, {}) for known in self.engine.made}
        return self._taken[self.engine.existing(name)]

    def _recover(self, name: str, content: bytes, checksum: str | None) -> bool:
        actual = hashlib.sha256(content).hexdigest()
        if checksum not in (None, actual):
            raise Refused(400, f"Checksum mismatch: expected {checksum}, actual {actual}")
        try:
            held = json.loads(content)
        except ValueError:
            raise Refused(400, "Bad request: the file is no snapshot") from None
        self.engine.delete_collection(name)
        made = models.CreateCollection(**held["collection"])
        self.engine.create_collection(name, body=made)
        for field, schema in held["indexes"].items():
            index = models.CreateFieldIndex(field_name=field, field_schema=schema)
            self.engine.create_field_index(name, query={}, body=index)
        points = [models.PointStruct(**point) for point in held["points"]]
        if points:
            with self._vectors_as_they_are(name):
                self.engine.local.upsert(name, points)
        return True

    @contextmanager
    def _vectors_as_they_are(self, name: str) -> Iterator[None]:
        """Keep `:memory:` from normalising again what it normalised before: bits would differ."""
        params = self.engine.local._client.collections[name].config.vectors
        dense = list(params.values()) if isinstance(params, dict) else [params]
        cosine = [one for one in dense if one.distance == models.Distance.COSINE]
        for one in cosine:
            one.distance = models.Distance.DOT
        yield
        for one in cosine:
            one.distance = models.Distance.COSINE


def _described(name: str, content: bytes) -> dict[str, Any]:
    checksum = hashlib.sha256(content).hexdigest()
    made = {"creation_time": "2026-11-21T00:00:00", "size": len(content), "checksum": checksum}
    return {"name": name, **made}


def _plain(schema: Any) -> Any:
    return schema.model_dump(mode="json") if hasattr(schema, "type") else str(schema)
