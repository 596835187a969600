"""`drehr-rag eval BENCHMARK`: retrieve for every query, score, show; one command a benchmark."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Optional, cast

import typer
from rich.progress import Progress

from drehr_rag._registry import find
from drehr_rag.cli._options import Json
from drehr_rag.cli.eval import _options as o
from drehr_rag.cli.eval._foreign import foreign_run
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument
from drehr_rag.eval.benchmarks import load_benchmark
from drehr_rag.eval.measuring import measured
from drehr_rag.eval.results import Result, new_folder, result
from drehr_rag.eval.retrieval import DEPTH, Retrieved, fill_store
from drehr_rag.eval.runs import write_run
from drehr_rag.eval.scoring import measure_named, score
from drehr_rag.eval.task import Measures, Task
from drehr_rag.protocols import Encoder
from drehr_rag.retrievers._asserted import checked_assertion
from drehr_rag.types import AssertionMode

WHOLE = 1_000_000
"""Chunks of a single-patient ranking that are saved: all."""


def command_for(name: str) -> Callable[..., None]:
    """The command of a benchmark."""

    def command(
        place: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Argument(help="The benchmark's folder; the ward is in the package."),
        ] = None,
        encoder: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(help="offline, dr-ehr-small, … (see index); lexical search needs none."),
        ] = None,
        mode: Annotated[
            Optional[list[str]],  # noqa: UP045
            typer.Option(
                help="expanded (default, as in a search), hybrid, dense, lexical, rrf, reranked; "
                "repeated: side by side."
            ),
        ] = None,
        assertion: Annotated[
            str,
            typer.Option(
                help="What only denies it, as in a search: ranked (it sinks), present (left out, "
                "as is what is only possible, past or a relative's), any: neither, as published "
                "figures have it."
            ),
        ] = "ranked",
        retriever: Annotated[
            Optional[str],  # noqa: UP045
            typer.Option(
                help="Instead of a mode: MODULE:FUNCTION that takes the task and gives a LangChain "
                "or LlamaIndex retriever, or a run.",
            ),
        ] = None,
        option: o.Options = None,
        retriever_option: Annotated[
            Optional[list[str]],  # noqa: UP045
            typer.Option(
                help="The mode's own: dense_share=0.5, rrf_k=20, steps=1, graph=FOLDER, base=rrf.",
                metavar="NAME=VALUE",
            ),
        ] = None,
        measure: o.Measure = None,
        depth: Annotated[int, typer.Option(help="Chunks of a multi-patient ranking.")] = DEPTH,
        graph: Annotated[
            bool,
            typer.Option(help="Dense search by the graph; by default every chunk is looked at."),
        ] = False,
        cache: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option(help="Folder that keeps vectors of passages, for the next run."),
        ] = None,
        save_run: Annotated[
            Optional[Path],  # noqa: UP045
            typer.Option(
                help="File for the run, in TREC's form, or BEIR's if it ends in .json; the run of "
                "searches in one note goes beside it, as single.NAME."
            ),
        ] = None,
        out: o.Out = None,
        missing: o.Missing = "error",
        json: Json = False,
    ) -> None:
        task = load_benchmark(name, place, **o.options_of(option))
        modes = _modes(mode, retriever, save_run)
        told = checked_assertion(cast(AssertionMode, assertion))
        if retriever and told != "ranked":
            raise BadArgument("--assertion goes with --mode: a retriever of yours has its own")
        measures = measures_of(task, measure)
        if out:
            new_folder(out)
        results = []
        with o.bar(json) as bar:
            if retriever:
                results = [_foreign(task, retriever, measures, o.missing_of(missing), save_run)]
            else:
                loaded = load_encoder(encoder) if encoder else None
                own = o.numbers_of(retriever_option, "--retriever-option")
                with _store(task, loaded, bar, cache=cache, exact=not graph) as store:
                    for one in modes:
                        tell = partial(o.tell, bar, {}, name)
                        found, made = measured(
                            task,
                            one,
                            loaded,
                            store,
                            name=_named(one, told, encoder),
                            command=o.command_line(),
                            options=own,
                            assertion=told,
                            depth=depth,
                            exact=not graph,
                            measures=measures,
                            progress=tell,
                        )
                        results.append(made)
                        if save_run:
                            _save_runs(found, save_run, tag=one, depth=depth)
        _save(results, out)
        o.show(results, json=json)

    module = find("drehr_rag.eval.benchmarks", name)
    summary = " ".join((module.__doc__ or name).split("\n\n", 1)[0].split())
    example = getattr(module, "EXAMPLE", None)
    command.__doc__ = summary + (f"\n\n[bold]Example:[/bold] {example}" if example else "")
    return command


def _named(mode: str, assertion: AssertionMode, encoder: str | None) -> str:
    """For tables: `hybrid assertion=any, offline`."""
    how = mode if assertion == "ranked" else f"{mode} assertion={assertion}"
    return f"{how}, {encoder}" if encoder and mode != "lexical" else how


def _save_runs(found: Retrieved, file: Path, *, tag: str, depth: int) -> None:
    write_run(found.run, file, tag=tag, depth=depth)
    if found.single is not None:
        write_run(found.single, file.with_name(f"single.{file.name}"), tag=tag, depth=WHOLE)


def measures_of(task: Task, names: Sequence[str] | None) -> Measures:
    """The measures asked for, in each of the task's settings."""
    chosen = tuple(dict.fromkeys(map(measure_named, names or ())))
    return dict.fromkeys(task.measures, chosen) if chosen else task.measures


def _modes(modes: list[str] | None, retriever: str | None, save_run: Path | None) -> list[str]:
    if retriever and modes:
        raise BadArgument("--retriever stands instead of --mode")
    if save_run and len(modes or ()) > 1:
        raise BadArgument("--save-run keeps one run: give one --mode, or --out for all")
    for mode in modes or ():
        find("drehr_rag.retrievers", mode)
    if save_run and not save_run.absolute().parent.is_dir():
        raise BadArgument(f"--save-run {save_run}: there is no folder {save_run.parent}")
    return list(dict.fromkeys(modes or ["expanded"]))


@contextmanager
def _store(
    task: Task, encoder: Encoder | None, bar: Progress, *, cache: Path | None, exact: bool
) -> Iterator[Any]:
    with TemporaryDirectory(prefix="drehr-eval-") as folder:
        tell = partial(o.tell, bar, {}, task.name)
        store = fill_store(
            task, encoder, str(Path(folder) / "store"), cache=cache, exact=exact, progress=tell
        )
        try:
            yield store
        finally:
            store.close()


def _foreign(
    task: Task, where: str, measures: Measures, missing: str, save_run: Path | None
) -> Result:
    run, about = foreign_run(where, task)
    measures = o.without_shallow(task, run, measures, None)
    scores = score(task, run, missing=missing, measures=measures)
    if save_run:
        write_run(run, save_run, tag=where.replace(" ", ""))
    manifest = {"system": about, "command": o.command_line()}
    return result(where, task, run, scores, manifest=manifest)


def _save(results: Sequence[Result], out: Path | None) -> None:
    """One result in the folder itself, several in folders within."""
    for one in results if out else ():
        folder = out if len(results) == 1 else out / one.name.split(",")[0]  # type: ignore[operator]
        one.save(folder)  # type: ignore[arg-type]
