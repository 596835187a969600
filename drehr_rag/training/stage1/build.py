"""Builds stage 1's examples: a corpus and a graph to a file."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from drehr_rag._arguments import whole
from drehr_rag.errors import BadArgument
from drehr_rag.kg import Matcher, StoredGraph
from drehr_rag.kg.abbreviations import Abbreviations
from drehr_rag.kg.matcher import Boundaries
from drehr_rag.training.building import Progress, build, build_async
from drehr_rag.training.chat import CONCURRENCY, Chat
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.leakage.guard import Guard
from drehr_rag.training.leakage.guarded import Guarded, GuardedAsync, leakage_settings
from drehr_rag.training.source_files import apart, checksums
from drehr_rag.training.stage1.abbreviating import Abbreviating
from drehr_rag.training.stage1.asking import AskingFirst
from drehr_rag.training.stage1.breadth import BROADEST, Breadth
from drehr_rag.training.stage1.injection import Injection
from drehr_rag.training.stage1.leave_out import LeaveOut
from drehr_rag.training.stage1.mentions import Mentions
from drehr_rag.training.stage1.neighbours import Neighbours
from drehr_rag.training.stage1.ratios import Ratios
from drehr_rag.training.stage1.work import Denied, Stage1

SHARE = 0.8
"""Of an inventory's foremost sense, from which on it is taken (docs/knowledge-graphs.md)."""

MAX_TOKENS = 1024
"""Of a language model's reply: two dozen abbreviations with their names, as JSON, in usual tokens.
The paper gives no length."""

PAPER = Ratios()


def build_stage1(
    corpus: Corpus,
    graph: StoredGraph,
    output: str | Path,
    *,
    ratios: Ratios = PAPER,
    broadest: int = BROADEST,
    hypernym_depth: int = 1,
    terms: bool = True,
    boundaries: Boundaries = "words",
    leave_out: LeaveOut | None = None,
    inventories: Iterable[str | Path] = (),
    own_definitions: bool = True,
    share: float = SHARE,
    chat: Chat | None = None,
    denied: Denied = "keep",
    seed: int = 0,
    guard: Guard | None = None,
    allow_leakage: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build; after a kill, call it again with the same arguments.

    Args:
        corpus: The chunks.
        graph: What is mentioned and added.
        output: `NAME.jsonl` or `NAME.jsonl.gz`.
        ratios: How much is added to each mention; by default the paper's.
        broadest: Concepts with more than so many below them are not added; 0: no limit.
        hypernym_depth: Steps up to a broader concept at most; the paper's is 1.
        terms: Whether the graph's terms are looked for; without, only abbreviations count.
        boundaries: Of terms; see `Matcher`.
        leave_out: What makes bad entities; by default the list that comes with the package.
        inventories: Lists of abbreviations, the most trusted first.
        own_definitions: Whether what a chunk defines itself ("atrial fibrillation (AF)") counts.
        share: Of an inventory's foremost sense, from which on it is taken.
        chat: A language model that is asked for each chunk's abbreviations; it is opened and closed
            here. The work is then done in this process, while the model answers other chunks.
        denied: What becomes of entities that a chunk only denies: `keep`, `negatives` or `drop`.
        seed: Of what is drawn by chance.
        guard: Chunks that it finds are left out, and counted.
        allow_leakage: Use them all the same; the manifest says so.
        workers: Processes, without a language model.
        progress: Called for every chunk.

    Returns:
        The manifest: settings, checksums, versions, counts.

    Raises:
        TrainingError: A file cannot be written, or is of another build.
        BadArgument: An argument cannot be meant.
        GeneratorError: The language model is not there, or never answers.
    """
    if chat and workers > 1:
        raise BadArgument("with a language model the work is one process: leave the workers out")
    if denied not in get_args(Denied):
        raise BadArgument(f"denied entities are one of {', '.join(get_args(Denied))}: {denied!r}")
    whole(hypernym_depth, "hypernym depth", 1)
    lists = [Path(file) for file in inventories]
    left_out = LeaveOut.read() if leave_out is None else leave_out
    found = Mentions(graph, Matcher.of(graph, boundaries=boundaries), left_out)
    known = Abbreviations(lists, least=share) if lists or own_definitions else None
    abbreviating = Abbreviating(found, known) if known or chat else None
    broad = Breadth(graph, broadest)
    around = Neighbours(graph, found, broad, left_out.relations, hypernym_depth)
    work = Stage1(
        found if terms else None,
        abbreviating,
        Injection(around, ratios),
        denied,
        seed,
    )
    settings = {
        "stage": 1,
        "ratios": ratios.record(),
        "broadest": broadest,
        "hypernym_depth": hypernym_depth,
        "terms": terms,
        "boundaries": boundaries,
        "leave_out": left_out.checksum(),
        "own_definitions": own_definitions,
        "share": share if lists else None,
        "model": None,
        "denied": denied,
        "seed": seed,
        "corpus": corpus.settings,
        **leakage_settings(guard, allow_leakage),
    }
    given: dict[str, Any] = {
        "sources": _sources(corpus, graph, lists),
        "licences": _licences(graph),
        "account": corpus.counts,
    }
    if chat is None:
        guarded = Guarded(work, guard, allow_leakage)
        return build(
            corpus, guarded, output, settings=settings, workers=workers, progress=progress, **given
        )

    async def asked() -> dict[str, Any]:
        async with chat:
            asking = AskingFirst(chat, work)
            return await build_async(
                corpus,
                GuardedAsync(asking, guard, allow_leakage),
                output,
                settings=settings | asking.settings(),
                concurrency=CONCURRENCY,
                progress=progress,
                **given,
            )

    return asyncio.run(asked())


def _sources(corpus: Corpus, graph: StoredGraph, lists: list[Path]) -> dict[str, str]:
    """Checksums by name; notes may be called as anything else is."""
    sums = [
        ("graph", _graph_checksum(graph)),
        *((f"abbreviations {name}", sum_) for name, sum_ in checksums(lists).items()),
        *corpus.checksums().items(),
    ]
    return dict(zip(apart(name for name, _ in sums), (sum_ for _, sum_ in sums), strict=True))


def _graph_checksum(graph: StoredGraph) -> str:
    """Over the checksums of all its files: names, hierarchy and relations."""
    files: Mapping[str, Mapping[str, Any]] = graph.manifest["files"]
    sums = {name: file["sha256"] for name, file in files.items()}
    return sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def _licences(graph: StoredGraph) -> dict[str, str]:
    """Of each file that the graph was built from."""
    told: list[Mapping[str, str]] = graph.manifest["sources"]
    names = apart(source["path"] for source in told)
    return {name: source["licence"] for name, source in zip(names, told, strict=True)}
