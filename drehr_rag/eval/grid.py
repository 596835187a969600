"""An ablation: systems × benchmarks from one TOML file, resumable, each a result of its own.

```toml
cache = "vectors"                 # optional; vectors of passages are kept here

[[benchmark]]
name = "devset"
place = "shared/data/devset/mtsamples"
options = { notes = "notes.jsonl.gz", chunker = ["words", "sections"] }

[[system]]
mode = "lexical"

[[system]]
mode = "rrf"
encoder = ["offline", "bge"]
options = { rrf_k = [10, 60, 200] }

[[system]]
mode = "reranked"
encoder = "offline"
assertion = ["ranked", "any"]     # as in a search: what is only denied sinks, or stays
options = { base = "expanded", base_options = { graph = "kg" }, share = [0.3, 1.0] }
```

A list stands for each of its values; several lists are crossed; a value that is a list itself
stands in one of its own. A table in the options is one value. Paths are relative to the file; the
graph `packaged` is the package's.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.comparing.pairing import SAME
from drehr_rag.eval.measuring import measured
from drehr_rag.eval.results import Result
from drehr_rag.eval.retrieval import Progress as Done
from drehr_rag.eval.retrieval import fill_store
from drehr_rag.eval.task import Task
from drehr_rag.kg.packaged import NAME as PACKAGED
from drehr_rag.retrievers._asserted import checked_assertion
from drehr_rag.types import AssertionMode

PATHS = ("place", "notes", "ids", "graph", "abbreviations")
"""Values that are files or folders."""

SYSTEM = {"mode", "encoder", "assertion", "options"}
"""What a system has."""

ASSERTION: AssertionMode = "ranked"
"""What a search of an index does, unless told otherwise."""


@dataclass(frozen=True)
class System:
    """A way to search: a retriever with its options, an encoder if it needs one, and denials."""

    mode: str
    encoder: str | None = None
    assertion: AssertionMode = ASSERTION
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For tables: `rrf offline rrf_k=60`."""
        other = {} if self.assertion == ASSERTION else {"assertion": self.assertion}
        return " ".join([*self._parts, *_said(other | dict(self.options))])

    @property
    def folder(self) -> str:
        """For the results: the name, in which a path or a hub's id has no slash.

        It always says the assertion: results of before it could be told are not taken for these.
        """
        said = _said({"assertion": self.assertion, **self.options})
        return " ".join([*self._parts, *said]).replace("/", "_")

    @property
    def _parts(self) -> list[str]:
        return [self.mode, self.encoder] if self.encoder else [self.mode]


@dataclass(frozen=True)
class Place:
    """A benchmark with its options."""

    name: str
    place: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """For the results: `devset-mtsamples-chunker=words`."""
        place = [Path(self.place).name] if self.place else []
        return "-".join([self.name, *place, *_said(self.options)])


@dataclass(frozen=True)
class Plan:
    """What a grid's file asks for."""

    benchmarks: tuple[Place, ...]
    systems: tuple[System, ...]
    cache: Path | None


def read_grid(file: str | Path) -> Plan:
    """Read a grid.

    Raises:
        EvaluationError: It is no TOML, or not of the form above.
    """
    path = Path(file)
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise EvaluationError(f"{path} cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise EvaluationError(f"{path} is broken TOML: {problem}") from None
    base = path.resolve().parent
    _only(given, {"cache", "benchmark", "system"}, f"{path}")
    benchmarks = [
        Place(**row)
        for row in _rows(given, "benchmark", {"name", "place", "options"}, "name", path, base)
    ]
    systems = [System(**row) for row in _rows(given, "system", SYSTEM, "mode", path, base)]
    _check_assertions(systems, path)
    for what, folders in (("[[benchmark]]", benchmarks), ("[[system]]", systems)):
        counted = Counter(one.folder for one in folders)
        if twice := [folder for folder, count in counted.items() if count > 1]:
            raise EvaluationError(
                f"{path}: two {what} would write to one folder, {twice[0]!r}: name their files or "
                "folders differently"
            )
    cache = given.get("cache")
    return Plan(tuple(benchmarks), tuple(systems), base / cache if cache else None)


def run_grid(
    plan: Plan,
    out: str | Path,
    *,
    command: str = "",
    progress: Callable[[str], Done] | None = None,
) -> dict[str, list[Result]]:
    """Do what is left of a grid; results that are there already are read.

    Args:
        plan: From `read_grid`.
        out: Folder of the results: `<benchmark>/<system>/`.
        command: For the manifests.
        progress: Called with each benchmark and system, gives what is told how far it is.

    Returns:
        Each benchmark's results, in the order of the systems.
    """
    found: dict[str, list[Result]] = {}
    for benchmark in plan.benchmarks:
        folder = Path(out) / benchmark.folder
        task = load_benchmark(benchmark.name, benchmark.place, **benchmark.options)
        left = [one for one in plan.systems if not _is_there(folder / one.folder, task)]
        if left:
            for encoder, systems in groupby(sorted(left, key=_encoder), _encoder):
                _search(task, encoder or None, list(systems), folder, plan.cache, command, progress)
        found[benchmark.folder] = [Result.load(folder / one.folder) for one in plan.systems]
    return found


def _is_there(folder: Path, task: Task) -> bool:
    """Whether a result of this task is there.

    Raises:
        EvaluationError: One of other data is.
    """
    if not (folder / "manifest.json").is_file():
        return False
    made = Result.load(folder).manifest["benchmark"]
    if changed := [name for name in SAME if made.get(name) != task.facts.get(name, made.get(name))]:
        raise EvaluationError(
            f"{folder} was measured on other data than {task.name} has now ({', '.join(changed)}): "
            "name another folder for the results"
        )
    return True


def _search(
    task: Task,
    encoder: str | None,
    systems: list[System],
    folder: Path,
    cache: Path | None,
    command: str,
    progress: Callable[[str], Done] | None,
) -> None:
    """All systems of one encoder, over one store."""
    loaded = load_encoder(encoder) if encoder else None
    with TemporaryDirectory(prefix="drehr-grid-") as scratch:
        tell = progress(f"{task.name}, {encoder or 'no encoder'}") if progress else None
        store = fill_store(task, loaded, f"{scratch}/store", cache=cache, progress=tell)
        with store:
            for one in systems:
                tell = progress(f"{task.name}, {one.name}") if progress else None
                _, made = measured(
                    task,
                    one.mode,
                    loaded,
                    store,
                    name=one.name,
                    command=command,
                    options=one.options,
                    assertion=one.assertion,
                    progress=tell,
                )
                made.save(folder / one.folder)


def _rows(
    given: Mapping[str, Any], kind: str, known: set[str], needed: str, path: Path, base: Path
) -> Iterator[dict[str, Any]]:
    rows = given.get(kind)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        raise EvaluationError(f"{path} has no [[{kind}]]")
    for row in rows:
        _only(row, known, f"{path}: [[{kind}]]")
        if needed not in row:
            raise EvaluationError(f"{path}: a [[{kind}]] has no {needed}")
        options = row.get("options", {})
        if not isinstance(options, dict):
            raise EvaluationError(f"{path}: options of a [[{kind}]] are a table")
        plain = {name: value for name, value in row.items() if name != "options"}
        for head in _crossed(plain, base):
            yield from ({**head, "options": tail} for tail in _crossed(options, base))


def _crossed(values: Mapping[str, Any], base: Path) -> Iterator[dict[str, Any]]:
    """One for each combination of the lists' values, paths made whole."""
    lists = [value if isinstance(value, list) else [value] for value in values.values()]
    for combination in product(*lists):
        row = dict(zip(values, combination, strict=True))
        yield {name: _placed(name, value, base) for name, value in row.items()}


def _placed(name: str, value: Any, base: Path) -> Any:
    """A value with its paths made whole."""
    if isinstance(value, dict):
        return {inner: _placed(inner, one, base) for inner, one in value.items()}
    if name in PATHS and isinstance(value, list):
        return [_placed(name, one, base) for one in value]
    if name not in PATHS or not isinstance(value, str) or (name, value) == ("graph", PACKAGED):
        return value
    return str((base / value).resolve())


def _check_assertions(systems: list[System], path: Path) -> None:
    for system in systems:
        try:
            checked_assertion(system.assertion)
        except BadArgument as problem:
            raise EvaluationError(f"{path}: a [[system]] is wrong: {problem}") from None


def _encoder(system: System) -> str:
    return system.encoder or ""


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    if wrong := sorted(given.keys() - known):
        raise EvaluationError(
            f"{where} has no {', '.join(wrong)}: there are {', '.join(sorted(known))}"
        )


def _said(options: Mapping[str, Any]) -> list[str]:
    """`name=value` of each option; of a path its last part, of a table what is in it."""
    said: list[str] = []
    for name, value in options.items():
        if isinstance(value, Mapping):
            said += _said(value)
            continue
        values = value if isinstance(value, list) else [value]
        short = [Path(one).name if name in PATHS else str(one) for one in values]
        said.append(f"{name}={'+'.join(short) or 'none'}")
    return said
