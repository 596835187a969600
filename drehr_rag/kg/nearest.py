"""A graph's names by what they mean: an encoder's vectors in a folder, searched exactly."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drehr_rag._arguments import check_words, positive
from drehr_rag._files import written
from drehr_rag.errors import EncoderError, EncoderMismatch, GraphError
from drehr_rag.kg.graph import StoredGraph
from drehr_rag.protocols import Encoder

SCHEMA = 1
MANIFEST, VECTORS, NUMBERS = "manifest.json", "vectors.npy", "numbers.npy"

WORDS = 8
"""Words of a name; longer ones are sentences, and no part of a query is looked for in them."""

BATCH = 2_048
"""Names that are encoded between two saves: some seconds of MiniLM on two cores."""

SLICE = 16_384
"""Names that are compared at a time: 25 MB in float32 at 384 dimensions."""

AGAIN = "make it anew with drehr-rag kg nearest, in another folder"

Floats = NDArray[np.floating[Any]]


class Near(NamedTuple):
    """A name that is near to a text, its concepts' ids, and its cosine with the text."""

    name: str
    concepts: list[str]
    cosine: float


class NearestTerms:
    """Names of a graph, by an encoder. It is only read: threads and processes may share it.

    Attributes:
        graph: Whose names they are.
        encoder: What made their vectors.
        folder: Where they lie.
    """

    def __init__(self, folder: Path, graph: StoredGraph, encoder: Encoder) -> None:
        """`open` says what is wrong first."""
        self.folder, self.graph, self.encoder = folder, graph, encoder
        self._vectors, self._numbers = _array(folder / VECTORS), _array(folder / NUMBERS)

    @classmethod
    def build(
        cls,
        graph: StoredGraph,
        encoder: Encoder,
        folder: str | Path,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> "NearestTerms":
        """Encode a graph's names into a folder; what was interrupted goes on where it stopped.

        Args:
            graph: Names of two letters at least and eight words at most are taken.
            encoder: Any; one that was trained on names (CODER, CoRTEx) knows most of them.
            folder: New, or one that was begun with the same graph and encoder.
            progress: Told how many names are encoded, and of how many.

        Raises:
            EncoderError: The encoder gave vectors that are no numbers.
            EncoderMismatch: The folder was begun with another encoder.
            GraphError: The graph has no such names, or the folder holds something else.
        """
        folder = Path(folder)
        numbers = np.array([n for n, name in enumerate(graph.terms()) if _fit(name)], np.uint32)
        if not numbers.size:
            raise GraphError(f"{graph.folder} has no names of two letters: there is none to encode")
        facts = _facts(graph, encoder) | {"names": numbers.size, "done": 0}
        if folder.is_dir() and any(folder.iterdir()):
            facts["done"] = _checked(folder, graph, encoder)["done"]
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _seal(folder, facts)
        if facts["done"] < numbers.size:
            _encode(folder, graph, encoder, numbers, facts, progress)
        return cls(folder, graph, encoder)

    @classmethod
    def open(cls, folder: str | Path, graph: StoredGraph, encoder: Encoder) -> "NearestTerms":
        """Map the names that `build` encoded.

        Raises:
            EncoderMismatch: They were encoded by another encoder.
            GraphError: There are none, not all yet, they are of another graph, or are damaged.
        """
        facts = _checked(Path(folder), graph, encoder)
        if facts["done"] < facts["names"]:
            raise GraphError(
                f"{folder} has {facts['done']:,} of {facts['names']:,} names: "
                "run drehr-rag kg nearest again, it goes on from there"
            )
        return cls(Path(folder), graph, encoder)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"NearestTerms({str(self.folder)!r}, {len(self)} names by {self.encoder.name})"

    def nearest(self, text: str, k: int = 10) -> list[Near]:
        """The k names of the greatest cosine, exactly; of equals, the graph's first.

        Raises:
            BadArgument: A text without a letter, or a k below 1.
            EncoderError: The encoder gave a vector that is no number.
        """
        check_words(text, "text")
        positive(k)
        query = _units(self.encoder.encode_queries([text]), 1, self.encoder)[0]
        cosines, rows = np.empty(0, np.float32), np.empty(0, np.int64)
        for start in range(0, len(self), SLICE):
            some = self._vectors[start : start + SLICE].astype(np.float32) @ query
            cosines = np.concatenate([cosines, some])
            rows = np.concatenate([rows, np.arange(start, start + some.size)])
            best = np.lexsort((rows, -cosines))[:k]
            cosines, rows = cosines[best], rows[best]
        return [
            Near(self.graph.term(number), self.graph.concepts_of_term(number), float(cosine))
            for number, cosine in zip(self._numbers[rows].tolist(), cosines, strict=True)
        ]


def encoder_of(folder: str | Path) -> str:
    """The name of the encoder that a folder's names were encoded by.

    Raises:
        GraphError: There are none.
    """
    return str(_manifest(Path(folder))["encoder"])


def _encode(
    folder: Path,
    graph: StoredGraph,
    encoder: Encoder,
    numbers: NDArray[np.uint32],
    facts: dict[str, Any],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write batch after batch; the manifest says what is surely there."""
    shape = (numbers.size, encoder.fingerprint.dimension)
    if not facts["done"]:
        np.save(folder / NUMBERS, numbers)
    vectors = np.lib.format.open_memmap(
        folder / VECTORS, "r+" if facts["done"] else "w+", np.float16, shape
    )
    for start in range(facts["done"], numbers.size, BATCH):
        names = [graph.term(number) for number in numbers[start : start + BATCH].tolist()]
        made = encoder.encode_passages(names)
        vectors[start : start + BATCH] = _units(made, len(names), encoder)
        vectors.flush()
        facts["done"] = start + len(names)
        _seal(folder, facts)
        if progress:
            progress(facts["done"], numbers.size)


def _fit(name: str) -> bool:
    return sum(map(str.isalpha, name)) >= 2 and len(name.split()) <= WORDS


def _units(made: Any, count: int, encoder: Encoder) -> NDArray[np.float32]:
    """Vectors of length 1, shape (count, dimension)."""
    vectors = np.asarray(made, np.float32)
    wanted = (count, encoder.fingerprint.dimension)
    if vectors.shape != wanted or not np.isfinite(vectors).all():
        odd = f"of shape {vectors.shape}, not {wanted}" if vectors.shape != wanted else "not finite"
        raise EncoderError(f"the vectors of {encoder.name} are {odd}: take another encoder")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths, lengths, 1)).astype(np.float32)


def _facts(graph: StoredGraph, encoder: Encoder) -> dict[str, Any]:
    made_by = {"encoder": encoder.name, "fingerprint": asdict(encoder.fingerprint)}
    return {"schema": SCHEMA, **made_by, "graph": graph.checksum}


def _seal(folder: Path, facts: Mapping[str, Any]) -> None:
    with written(folder / MANIFEST, error=GraphError) as file:
        json.dump(facts, file, indent=1)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        schema, _, _ = facts["schema"], facts["encoder"], facts["graph"]
        _ = facts["fingerprint"]["dimension"], facts["names"] - facts["done"]
    except OSError:
        raise GraphError(f"{folder} holds no names by an encoder: {AGAIN}") from None
    except (ValueError, KeyError, TypeError):
        raise GraphError(
            f"{folder / MANIFEST} is broken, or of something else than names: {AGAIN}"
        ) from None
    if schema != SCHEMA:
        raise GraphError(f"{folder} is of schema {schema}, not {SCHEMA}: {AGAIN}")
    return facts


def _checked(folder: Path, graph: StoredGraph, encoder: Encoder) -> dict[str, Any]:
    """The manifest of names of this graph by this encoder."""
    facts = _manifest(folder)
    if facts["fingerprint"] != asdict(encoder.fingerprint):
        raise EncoderMismatch(
            f"the names in {folder} were encoded by {facts['encoder']} "
            f"({facts['fingerprint']['dimension']}-d), not by {encoder.fingerprint}: "
            f"give that encoder, or {AGAIN}"
        )
    if facts["graph"] != graph.checksum:
        raise GraphError(f"{folder} has names of another graph than {graph.folder}: {AGAIN}")
    return facts


def _array(file: Path) -> Any:
    try:
        return np.load(file, mmap_mode="r").view(np.ndarray)
    except (ValueError, OSError, EOFError):
        raise GraphError(f"{file} is missing or damaged: {AGAIN}") from None
