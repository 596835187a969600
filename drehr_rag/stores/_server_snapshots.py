"""Snapshots of a server's collection: made there, fetched, checked; and sent back."""

from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from drehr_rag.errors import StoreError, StoreMissing
from drehr_rag.stores._link import Link, connect
from drehr_rag.stores._options import Access
from drehr_rag.stores._snapshot_file import fresh

_BLOCK = 2**20

RECOVERY = 3600.0
"""Seconds that a server may take to make a collection of what it was sent, before it answers."""


def fetch_snapshot(link: Link, collection: str, file: Path) -> None:
    """Let the server make a snapshot, bring it here, check its sum, and remove it there.

    Raises:
        StoreError: The file exists, the server is a cluster, or what arrived is not whole.
    """
    with fresh(file) as part:
        _one_node(link)
        client = link.client
        try:
            made = link.call(
                client.create_snapshot, collection_name=collection, wait=True, once=True
            )
        except StoreError as problem:
            raise StoreError(
                f"{problem}. If it was made all the same, it lies on the server and holds notes: "
                f"look at {link.base}/collections/{collection}/snapshots"
            ) from None
        try:
            digest = _download(link, f"/collections/{collection}/snapshots/{made.name}", part)
            if made.checksum and made.checksum != digest:
                raise StoreError("the snapshot arrived damaged: its checksum differs; try again")
        finally:
            with suppress(StoreMissing):  # gone by a try whose answer was lost
                link.call(
                    client.delete_snapshot,
                    collection_name=collection,
                    snapshot_name=made.name,
                    wait=True,
                )


def send_snapshot(file: Path, location: str, access: Access) -> None:
    """Make a collection from a snapshot.

    Raises:
        StoreError: The collection exists, the server is a cluster, or it refuses the file.
    """
    link, collection = connect(location, access)
    try:
        if link.call(link.client.collection_exists, collection_name=collection):
            raise StoreError(f"{location} exists: name a new collection, then switch an alias")
        _one_node(link)
        with file.open("rb") as stream:
            checksum = file_digest(stream, "sha256").hexdigest()
        path = f"/collections/{collection}/snapshots/upload"
        how = {"wait": "true", "priority": "snapshot", "checksum": checksum}
        patience = max(RECOVERY, link.access.timeout)
        with file.open("rb") as stream, _http(link, timeout=patience) as http:
            answer = http.post(path, params=how, files={"snapshot": (file.name, stream)})
        if answer.status_code != httpx.codes.OK:
            raise StoreError(f"the Qdrant server answered {answer.status_code} to the snapshot")
    except OSError as problem:
        raise StoreError(f"cannot read {file}: {problem.strerror}") from None
    except httpx.HTTPError as problem:
        raise StoreError(
            f"sending the snapshot failed: {type(problem).__name__}. The server may go on all the "
            f"same: look at {link.base}/collections/{collection}, and remove it there before you "
            "send it again"
        ) from None
    finally:
        link.client.close()


def _one_node(link: Link) -> None:
    """A node's snapshot holds that node's shards only."""
    with _http(link) as http:
        try:
            cluster: dict[str, Any] = http.get("/cluster").raise_for_status().json()["result"]
            nodes = len(cluster.get("peers", {}))
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise StoreError(
                f"the Qdrant server {link.base} does not say whether it is a cluster "
                f"({type(problem).__name__}); use drehr-rag store copy instead"
            ) from None
    if nodes > 1:
        raise StoreError(
            "a snapshot holds one node's part of a cluster: use drehr-rag store copy instead"
        )


def _download(link: Link, path: str, out: BinaryIO) -> str:
    digest = sha256()
    try:
        with _http(link) as http, http.stream("GET", path) as answer:
            if answer.status_code != httpx.codes.OK:
                raise StoreError(f"the Qdrant server answered {answer.status_code} to the download")
            for block in answer.iter_bytes(_BLOCK):
                digest.update(block)
                out.write(block)
    except httpx.HTTPError as problem:
        raise StoreError(f"fetching the snapshot failed: {type(problem).__name__}") from None
    return digest.hexdigest()


def _http(link: Link, *, timeout: float | None = None) -> httpx.Client:
    """A plain client with the same key, certificates and, if nothing else is said, patience."""
    headers = {"api-key": link.key} if link.key else {}
    wait = httpx.Timeout(link.access.timeout, read=timeout or link.access.timeout)
    return httpx.Client(base_url=link.base, headers=headers, timeout=wait, verify=link.verify)
