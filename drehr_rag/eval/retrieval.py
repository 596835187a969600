"""A task's run by a retriever: the passages go into a store as they are, the queries are asked.

Multi-patient rankings are of all chunks; single-patient ones are made by searches that see one
note each, as a search in one patient's scope does, so that a fusion is not told of other notes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from drehr_rag._registry import find
from drehr_rag.errors import BadArgument
from drehr_rag.eval._encoders import Clocked, KnownQueries
from drehr_rag.eval.task import Passage, Task
from drehr_rag.protocols import Encoder, Retriever
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._asserted import asserted, checked_assertion
from drehr_rag.retrievers._bm25 import sparse_passages
from drehr_rag.stores import Access, ScopedStore, open_store
from drehr_rag.types import AllPatients, AssertionMode, Chunk, Filters, Ranked, Vectors

DEPTH = 1000
"""Chunks of a multi-patient ranking: Recall@100 needs a tenth, and beyond it RR is below .001."""

PAGE = 1024
"""Passages encoded and kept at a time; queries are asked by `QUERIES`."""

QUERIES = 50

TIMED = 100
"""Queries that are asked one by one for the latency, spread over all."""

EVERYBODY = AllPatients(reason="evaluation")

Progress = Callable[[str, int, int], None]
"""Told what is done, how many of it, and of how many."""


@dataclass(frozen=True)
class Retrieved:
    """What a retriever found.

    Attributes:
        run: Query id → chunk id → score, of all chunks.
        single: The same by searches within each note that has a relevant chunk; None if the task
            has no single-patient setting.
        latency_ms: p50, p95 and count of queries asked one by one, encoding included, k = 10;
            `search_p50` and `search_p95` are without encoding the query.
        seconds: What encoding the queries and searching in either setting took.
    """

    run: dict[str, dict[str, float]]
    single: dict[str, dict[str, float]] | None
    latency_ms: Mapping[str, float]
    seconds: Mapping[str, float]


def fill_store(
    task: Task,
    encoder: Encoder | None,
    location: str,
    *,
    cache: Path | None = None,
    exact: bool = True,
    progress: Progress | None = None,
) -> ScopedStore:
    """A store with every passage as one chunk.

    Args:
        task: The benchmark.
        encoder: None for lexical search alone.
        location: An empty folder, or `:memory:`.
        cache: Folder for vectors, so that a second run does not encode again, and a run that was
            cut off goes on.
        exact: Whether dense search looks at every chunk instead of the graph.
        progress: Told how many passages are in.
    """
    dimension = encoder.fingerprint.dimension if encoder else 1
    access = Access(exact=True) if exact else None
    store = open_store(location, manifest={"dimension": dimension}, access=access)
    items = list(task.passages.items())
    chunks = [_chunk(key, passage) for key, passage in items]
    sizes: dict[str, int] = defaultdict(int)
    for chunk in chunks:
        sizes[chunk.note_id] += 1
    done = 0
    for page in _pages(chunks, PAGE):
        texts = [chunk.text for chunk in page]
        dense = _vectors(encoder, texts, cache) if encoder else np.ones((len(page), 1), np.float32)
        digests = {chunk.note_id: ("evaluation", sizes[chunk.note_id]) for chunk in page}
        store.upsert(page, dense, sparse_passages(texts), digests)
        done += len(page)
        if progress:
            progress("encoding", done, len(chunks))
    if not exact:
        store.optimise()
    return store


def retrieve(
    task: Task,
    mode: str,
    encoder: Encoder | None,
    store: ScopedStore,
    *,
    depth: int = DEPTH,
    options: Mapping[str, Any] | None = None,
    assertion: AssertionMode = "ranked",
    progress: Progress | None = None,
) -> Retrieved:
    """Ask a retriever of ours for every query, as a search of an index does.

    Args:
        task: The benchmark.
        mode: A retriever's name: `hybrid`, `dense`, `lexical`, `rrf`, `expanded`, `reranked`, or a
            third party's.
        encoder: What the store was filled with.
        store: From `fill_store`.
        depth: Chunks of a multi-patient ranking.
        options: The retriever's own.
        assertion: As in `EhrIndex.search`: what is only denied sinks (`ranked`), is left out
            (`present`: in a note it then stands last), or stays (`any`).
        progress: Told how many queries are done.

    Raises:
        UnknownName: There is no such mode, or it has no such option.
        BadArgument: The mode needs an encoder, and there is none; or there is no such assertion.
    """
    find("drehr_rag.retrievers", mode)  # a name that is none is said first
    checked_assertion(assertion)
    if encoder is None and mode != "lexical":
        raise BadArgument(f"mode {mode!r} needs an encoder: name one, or take mode lexical")

    def ready(encoding: Any) -> Retriever:
        searching = load_retriever(mode, encoder=encoding, store=store, **(options or {}))
        return asserted(searching, assertion)

    started = perf_counter()
    known = KnownQueries(encoder, [q.text for q in task.queries.values()]) if encoder else None
    encoded = perf_counter()
    retriever = ready(known)
    tell = progress or (lambda what, done, total: None)
    run = _whole(task, retriever, depth, tell)
    searched = perf_counter()
    wanted = "single-patient" in task.measures
    single = _by_note(task, retriever, tell) if wanted else None
    seconds = {
        "encoding_queries": encoded - started,
        "multi_patient": searched - encoded,
        "single_patient": perf_counter() - searched,
    }
    clocked = Clocked(encoder) if encoder else None
    return Retrieved(run, single, _latency(task, ready(clocked), clocked), seconds)


def _whole(task: Task, retriever: Retriever, depth: int, tell: Progress) -> dict[str, Any]:
    run: dict[str, dict[str, float]] = {}
    names = _Names()
    for page in _pages(list(task.queries), QUERIES):
        texts = [task.queries[query].text for query in page]
        found = retriever.rank(texts, scope=EVERYBODY, filters=Filters(), k=depth)
        run |= {q: names.scores(ranked) for q, ranked in zip(page, found, strict=True)}
        tell("multi-patient", len(run), len(task.queries))
    return run


def _by_note(task: Task, retriever: Retriever, tell: Progress) -> dict[str, Any]:
    """Each query in each note that has a relevant chunk, all queries of a note at once.

    Every chunk of the note gets a place, as in CliniQ: those that a search does not return, for
    they have no word in common with the query, stand last.
    """
    of_note: dict[str, list[str]] = defaultdict(list)
    members: dict[str, list[str]] = defaultdict(list)
    for chunk, passage in task.passages.items():
        members[passage.note_id].append(chunk)
    for query in task.queries:
        notes = {task.passages[chunk].note_id for chunk in task.relevant(query)}
        for note in sorted(notes):
            if len(members[note]) >= task.note_chunks:
                of_note[note].append(query)
    run: dict[str, dict[str, float]] = {query: {} for query in task.queries}
    names = _Names()
    for number, (note, queries) in enumerate(of_note.items(), 1):
        filters = Filters(note_ids=(note,))
        texts = [task.queries[query].text for query in queries]
        found = retriever.rank(texts, scope=EVERYBODY, filters=filters, k=len(members[note]))
        for query, ranked in zip(queries, found, strict=True):
            scores = names.scores(ranked)
            below = min(scores.values(), default=0.0) - 1
            run[query] |= dict.fromkeys(members[note], below) | scores
        tell("single-patient", number, len(of_note))
    return run


def _latency(task: Task, retriever: Retriever, clocked: Clocked | None) -> dict[str, float]:
    texts = [query.text for query in task.queries.values()]
    some = texts[:: max(1, len(texts) // TIMED)][:TIMED]
    times = []
    for text in [some[0], *some]:  # the first warms up
        before, started = clocked.seconds if clocked else 0.0, perf_counter()
        retriever.retrieve([text], scope=EVERYBODY, filters=Filters(), k=10)
        whole = perf_counter() - started
        encoding = clocked.seconds - before if clocked else 0.0
        times.append((1000 * whole, 1000 * (whole - encoding)))
    ends = np.percentile(times[1:], [50, 95], axis=0).T.ravel()
    names = ("p50", "p95", "search_p50", "search_p95")
    told = {name: round(float(end), 3) for name, end in zip(names, ends, strict=True)}
    return {**told, "queries": len(some)}


class _Names:
    """One string for each chunk, however many queries found it."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def scores(self, ranked: Iterable[Ranked]) -> dict[str, float]:
        return {self._known.setdefault(r.chunk_id, r.chunk_id): r.score for r in ranked}


def _chunk(key: str, passage: Passage) -> Chunk:
    patient = passage.patient_id or passage.note_id
    text = passage.text
    return Chunk(key, passage.note_id, patient, 0, len(text), text=text, source=text)


def _vectors(encoder: Encoder, texts: Sequence[str], cache: Path | None) -> Vectors:
    if cache is None:
        return encoder.encode_passages(texts)
    made_of = "\0".join([repr(encoder.fingerprint), *texts])
    file = cache / f"{sha256(made_of.encode()).hexdigest()[:24]}.npy"
    if file.exists():
        held: Vectors = np.load(file)
        return held
    vectors = encoder.encode_passages(texts)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, vectors)
    part.replace(file)
    return vectors


def _pages(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    yield from (items[start : start + size] for start in range(0, len(items), size))
