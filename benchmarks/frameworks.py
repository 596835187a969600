"""LangChain and LlamaIndex: our adapters beside the core and beside the stock integrations.

    python -m benchmarks.frameworks [--quick] [--json FILE] [--markdown docs/measurements.md]

The data is in `$DREHR_SHARED_DATA` or `../shared/data`. The stock side is each framework's
`QdrantVectorStore` in a folder, with sentence-transformers on the same weights, called as
`HuggingFaceEmbeddings` and `HuggingFaceEmbedding` call it.
"""

import argparse
import asyncio
import gc
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from benchmarks.frameworks_langchain import LangChain
from benchmarks.frameworks_llama_index import LlamaIndex
from benchmarks.overhead import sentence_transformer
from benchmarks.publish import publish
from benchmarks.tables import Table
from benchmarks.versus import goals
from benchmarks.versus.goals import Goal
from benchmarks.wrappers import KnownQueries, Windows
from drehr_rag import AllPatients, EhrIndex, Hit, Patient, load_encoder
from drehr_rag.protocols import Encoder
from drehr_rag.types import Mode, Note, Scope

MODULE = "benchmarks.frameworks"
NOTES, QUERIES, RUNS = 300, 100, 3
READY_RUNS = 5
"""Runs without encoding in each run with it: they are short, and their differences shorter."""
QUICK = {"notes": 8, "queries": 8, "runs": 1}
WARM_UP = 10
K = 10
EVERYBODY = AllPatients(reason="benchmark")
MODES: tuple[Mode, ...] = ("hybrid", "dense")
CORE, STOCK = "core", "stock QdrantVectorStore"
READY = ", vectors ready"
OWN = ", its own part"
RETRIEVER = "DrEhrRetriever"
"""Of either framework; the goal is about it."""

IDLE = "a retriever that does nothing"
"""Of either framework: its own part of a query."""

MISSING = "not installed"

GOAL_SEARCH = 1
"""Milliseconds."""
GOAL_INGEST = 3
"""Percent of the core's time."""

Ask = Callable[[str], Any]
Run = dict[str, float]
"""Seconds of ingest by way."""


class Framework(Protocol):
    """The ways that `frameworks_langchain` and `frameworks_llama_index` give."""

    name: str
    package: str
    stock_package: str

    def write(self, scope: Scope, file: Path, encoder: Encoder, place: Path) -> int:
        """A file of notes into our store; how many chunks."""

    def own(self, file: Path, encoder: Encoder) -> Callable[[Path], int] | None:
        """What the framework itself does with its own parts, which know pieces and vectors."""

    def write_stock(self, file: Path, encoder: Encoder, place: Path) -> int:
        """The same chunks into the stock store; `encoder` only counts tokens."""

    def ways(self, index: EhrIndex, scope: Scope, k: int, first: str) -> dict[tuple[str, str], Ask]:
        """How our store is asked, by name and mode; a way without mode searches nothing."""

    def stock(self, place: Path, scope: Scope, k: int) -> AbstractContextManager[Ask]:
        """How the stock store is asked."""

    def texts(self, found: Any) -> set[str]:
        """Of what was found."""


@dataclass
class Way:
    """One way to ask; `core` is the core's own in the same scope and mode, where there is one."""

    scope: str
    framework: str
    name: str
    mode: str
    ask: Ask
    texts: Callable[[Any], set[str]]
    core: "Way | None" = None
    milliseconds: list[float] = field(default_factory=list)
    found: list[set[str]] = field(default_factory=list)

    def take(self, query: str, runner: asyncio.Runner, keep: bool) -> None:
        """Ask once; keep the time and what was found."""
        started = perf_counter()
        answer = self.ask(query)
        if asyncio.iscoroutine(answer):
            answer = runner.run(answer)
        spent = perf_counter() - started
        if keep:
            self.milliseconds.append(1000 * spent)
            self.found.append(self.texts(answer))

    @property
    def over(self) -> float | None:
        """Milliseconds over the core: the median of the differences query by query."""
        if self.core is None:
            return None
        pairs = zip(self.milliseconds, self.core.milliseconds, strict=True)
        return median(own - core for own, core in pairs)

    @property
    def same(self) -> float | None:
        """The share of the core's hits that it found too."""
        if self.core is None:
            return None
        pairs = zip(self.found, self.core.found, strict=True)
        return sum(len(own & core) for own, core in pairs) / sum(map(len, self.core.found))

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        names = ("scope", "framework", "name", "mode", "milliseconds", "over", "same")
        return {name: getattr(self, name) for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = _options(arguments)
    data, encoder, model = data_folder(), load_encoder("offline"), sentence_transformer()
    queries = query_texts(data, options.queries)
    vectors = dict(zip(queries, encoder.encode_queries(queries), strict=True))
    model.encode(queries)  # warm, as the encoder is
    known = {query: vector.tolist() for query, vector in vectors.items()}
    frameworks: list[Framework] = [LangChain(model, known), LlamaIndex(model, known)]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        notes = _notes(data, scratch, options.notes)
        chunks, runs = ingest(frameworks, notes, encoder, scratch, options.runs)
        found = search(frameworks, queries, KnownQueries(encoder, vectors), scratch)
    aims = _goals(frameworks, found, runs)
    tables = [
        _search_table(frameworks, found),
        _ingest_table(frameworks, options.notes, chunks, runs),
        goals.table("Frameworks: goals", aims),
    ]
    facts = {
        "search": [way.facts() for way in found],
        "ingest": {"notes": options.notes, "chunks": chunks, "runs": runs},
        "goals": [vars(aim) for aim in aims],
    }
    packages = [name for each in frameworks for name in (each.package, each.stock_package)]
    publish(
        "Frameworks",
        tables,
        {"frameworks": facts},
        block="frameworks",
        by=MODULE,
        options=options,
        few="a few notes",
        versions="".join(f", {name} {_version(name)}" for name in packages),
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}", description=__doc__, formatter_class=shape
    )
    add = parser.add_argument
    add("--notes", type=int, metavar="N", help=f"of MTSamples (default {NOTES})")
    add("--queries", type=int, metavar="N", help=f"for every way (default {QUERIES})")
    add("--runs", type=int, metavar="N", help=f"of ingest, interleaved (default {RUNS})")
    add("--quick", action="store_true", help="a few notes and queries; shows that it works")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--markdown", type=Path, metavar="PAGE", help="write the tables there, as a block")
    options = parser.parse_args(arguments)
    defaults = QUICK if options.quick else {"notes": NOTES, "queries": QUERIES, "runs": RUNS}
    for name, value in defaults.items():
        setattr(options, name, getattr(options, name) or value)
    return options


def _notes(data: Path, scratch: Path, count: int) -> Path:
    stream = (note for note in corpora(data, scratch)[0].notes() if isinstance(note, Note))
    file = scratch / "notes.jsonl"
    lines = [f"{note.model_dump_json()}\n" for note in islice(stream, count)]
    file.write_text("".join(lines), encoding="utf-8")
    return file


def ingest(
    frameworks: Sequence[Framework], notes: Path, encoder: Encoder, scratch: Path, count: int
) -> tuple[int, list[Run]]:
    """Chunks, and seconds of each way into a fresh store in a folder, in turn.

    The stores of the last run stay in the scratch folder, each under the name of its way.
    """
    whole = _ours(frameworks, notes, encoder, "")
    for each in filter(_has_stock, frameworks):
        whole[_stock_of(each)] = partial(each.write_stock, notes, encoder)
    ready = _ours(frameworks, notes, Windows(encoder), READY)
    for each in frameworks:
        if own := each.own(notes, encoder):
            ready[each.name + OWN] = own
    made: set[int] = set()
    runs = [
        _took(whole, scratch, made, backwards=number % 2 == 0)
        | _middle([_took(ready, scratch, made, backwards=n % 2 == 0) for n in range(READY_RUNS)])
        for number in range(count)
    ]
    if len(made) > 1:
        raise RuntimeError(f"the ways made different numbers of chunks: {made}")
    return made.pop(), runs


def _ours(
    frameworks: Sequence[Framework], notes: Path, encoder: Encoder, suffix: str
) -> dict[str, Callable[[Path], int]]:
    ways: dict[str, Callable[[Path], int]] = {CORE + suffix: partial(_core, notes, encoder)}
    for each in frameworks:
        ways[each.name + suffix] = partial(each.write, EVERYBODY, notes, encoder)
    return ways


def _took(
    ways: Mapping[str, Callable[[Path], int]], scratch: Path, made: set[int], *, backwards: bool
) -> Run:
    """Seconds of each way, one after the other; `made` gets how many chunks there were."""
    seconds: Run = {}
    for way in sorted(ways, key=list(ways).index, reverse=backwards):
        shutil.rmtree(scratch / way, ignore_errors=True)
        gc.collect()
        started = perf_counter()
        made.add(ways[way](scratch / way))
        seconds[way] = perf_counter() - started
    return seconds


def _middle(runs: Sequence[Run]) -> Run:
    return {way: median(run[way] for run in runs) for way in runs[0]}


def _core(file: Path, encoder: Encoder, place: Path) -> int:
    with EhrIndex.open(place, encoder=encoder) as index:
        return index.add(file).chunks


def search(
    frameworks: Sequence[Framework], queries: Sequence[str], encoder: Encoder, scratch: Path
) -> list[Way]:
    """Every way to ask what `ingest` wrote: the largest patient's notes, and everybody's."""
    found: list[Way] = []
    with EhrIndex.open(scratch / CORE, encoder=encoder) as index:
        sizes = index.facets("patient_id", scope=EVERYBODY)
        largest = Patient(max(sizes, key=lambda name: sizes[name]))
        scopes: dict[str, Scope] = {"one patient": largest, "all patients": EVERYBODY}
        for name, scope in scopes.items():
            core = {str(mode): _core_way(name, index, scope, mode) for mode in MODES}
            ways = list(core.values())
            with ExitStack() as stack:
                for each in frameworks:
                    asked = each.ways(index, scope, K, queries[0])
                    if _has_stock(each):
                        stock = each.stock(scratch / _stock_of(each), scope, K)
                        asked[STOCK, "dense"] = stack.enter_context(stock)
                    ways += [
                        Way(name, each.name, way, mode, ask, each.texts, core.get(mode))
                        for (way, mode), ask in asked.items()
                    ]
                _ask_in_turn(ways, queries)
            found += ways
    return found


def _core_way(name: str, index: EhrIndex, scope: Scope, mode: Mode) -> Way:
    def ask(query: str) -> list[Hit]:
        return index.search(query, scope=scope, k=K, mode=mode)

    return Way(name, CORE, "EhrIndex.search", mode, ask, _texts)


def _texts(hits: Sequence[Hit]) -> set[str]:
    return {hit.chunk.text for hit in hits}


def _ask_in_turn(ways: Sequence[Way], queries: Sequence[str]) -> None:
    chance = random.Random(0)
    with asyncio.Runner() as runner:
        for some, keep in ((queries[:WARM_UP], False), (queries, True)):
            for query in some:
                for way in chance.sample(ways, len(ways)):  # nobody always follows the same one
                    way.take(query, runner, keep)


def _search_table(frameworks: Sequence[Framework], found: Sequence[Way]) -> Table:
    columns = ("scope", "framework", "way", "mode", "p50", "p95", "over the core",
               "adapter alone", "same hits")  # fmt: skip
    table = Table("Frameworks: a query, in milliseconds", columns, left=4)
    for way in found:
        p50, p95 = np.percentile(way.milliseconds, [50, 95])
        figures = ["" if one is None else f"{one:+.2f}" for one in (way.over, _alone(way, found))]
        table.add(way.scope, way.framework, way.name, way.mode, f"{p50:.2f}", f"{p95:.2f}",
                  *figures, way.same)  # fmt: skip
    for each in _without_stock(frameworks):
        table.add(MISSING, each.name, STOCK, *[None] * 6)
    table.note = (
        f"{len(found[0].milliseconds)} queries, each by every way, in an order drawn anew; k = "
        f"{K}, query vectors known beforehand on all sides. Over the core: the median of the "
        "differences query by query, in the same mode. Adapter alone: less the median of the "
        "framework's retriever that does nothing. Same hits: the share of the core's that "
        "were found too. Stock: in a folder (Qdrant's local mode, exact; so is ours at this size)."
    )
    return table


def _alone(way: Way, found: Sequence[Way]) -> float | None:
    """What a way of ours takes over the core, less the framework's own."""
    if way.over is None or way.name == STOCK:
        return None
    idle = [w for w in found if (w.scope, w.framework, w.name) == (way.scope, way.framework, IDLE)]
    return way.over - median(idle[0].milliseconds)


def _ingest_table(
    frameworks: Sequence[Framework], notes: int, chunks: int, runs: Sequence[Run]
) -> Table:
    columns = ("framework", "way", "s", "× the core", "vectors ready, s", "over the core",
               "framework's own, s", "adapter alone")  # fmt: skip
    table = Table("Frameworks: ingest", columns, left=2)

    def figures(way: str) -> list[str]:
        ratio = median(run[way] / run[CORE] for run in runs)
        return [f"{median(run[way] for run in runs):.2f}", f"{ratio:.3f}"]

    def seconds(way: str) -> str:
        return f"{median(run[way] for run in runs):.2f}"

    table.add(CORE, "EhrIndex.add", *figures(CORE), seconds(CORE + READY), *[None] * 3)
    for each in frameworks:
        name, own = each.name, each.name + OWN
        over = [f"{share(each, runs):+.2f} %" for share in (_over, _adapter)]
        over.insert(1, seconds(own) if own in runs[0] else "none")
        table.add(name, "DrEhrVectorStore", *figures(name), seconds(name + READY), *over)
        if _has_stock(each):
            table.add(name, STOCK, *figures(_stock_of(each)), *[None] * 4)
    for each in _without_stock(frameworks):
        table.add(each.name, STOCK, MISSING, *[None] * 5)
    table.note = (
        f"From a file of {notes:,} notes of MTSamples to a closed store in a folder, {chunks:,} "
        f"chunks by every way; {len(runs)} interleaved runs (where vectors are ready {READY_RUNS} "
        "in each, of which the median counts): medians. Over the core: what ingest "
        "takes longer where the vectors are ready, in percent of the core's whole ingest. "
        "Framework's own: LlamaIndex's pipeline with its cache, its stock splitter and embedding "
        "class, which know pieces and vectors beforehand, and no store. Adapter alone: over the "
        "core, less that."
    )
    return table


def _over(framework: Framework, runs: Sequence[Run], *, less: str = "") -> float:
    """Percent of the core's time: without encoding, whose noise is larger than the adapter."""
    name = framework.name
    return median(
        100 * (run[name + READY] - run.get(less, 0) - run[CORE + READY]) / run[CORE] for run in runs
    )


def _adapter(framework: Framework, runs: Sequence[Run]) -> float:
    """As `_over`, less what the framework itself does."""
    return _over(framework, runs, less=framework.name + OWN)


def _goals(
    frameworks: Sequence[Framework], found: Sequence[Way], runs: Sequence[Run]
) -> list[Goal]:
    aims = []
    for each in frameworks:
        for way in found:
            alone = _alone(way, found)
            if (way.framework, way.name) == (each.name, RETRIEVER) and alone is not None:
                text = f"a query through {each.name}, the adapter alone, {way.scope}"
                aims.append(goals.below(text, GOAL_SEARCH, alone, "ms"))
        text = f"ingest through {each.name}, the adapter alone, of the core's"
        aims.append(goals.below(text, GOAL_INGEST, _adapter(each, runs), "%"))
    return aims


def _stock_of(framework: Framework) -> str:
    return f"{framework.name}, {STOCK}"


def _without_stock(frameworks: Sequence[Framework]) -> list[Framework]:
    return [each for each in frameworks if not _has_stock(each)]


def _has_stock(framework: Framework) -> bool:
    return _version(framework.stock_package) != MISSING


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING


if __name__ == "__main__":
    main()
