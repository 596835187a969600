"""`drehr-rag train run`: all of a training, from terminologies and notes to scores."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console

from drehr_rag.cli._options import Json
from drehr_rag.cli._show import plain, print_json
from drehr_rag.cli.train._done import Done
from drehr_rag.cli.train._pipeline import Step, read_pipeline
from drehr_rag.cli.train._replacing import begun, decides_itself, take_away
from drehr_rag.errors import BadArgument, DrehrError

UsageError: Any = typer.BadParameter.__bases__[0]
"""Of click, or of the copy of it that newer versions of typer carry."""


def command(
    pipeline: Annotated[Path, typer.Argument(help="A TOML file of steps.", metavar="PIPELINE")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every step, say which would run.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Run what is done already too; what it made is replaced."),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Where a build or training was begun otherwise, delete what it made, and begin.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Run the steps of a pipeline, each a command of drehr-rag; what is done is not done again.

    All steps are checked before the first one runs. Builds and trainings are always asked: they
    go on after an interruption, do nothing when they are finished, and refuse what was begun
    otherwise unless --replace is given. Other steps run when they or what comes before changed.

    [bold]Example:[/bold] drehr-rag train run pipeline.toml
    """
    steps = read_pipeline(pipeline)
    commands = [_command(step) for step in steps]
    done = Done(pipeline)
    facts: list[dict[str, Any]] = []
    changed = False
    with redirect_stdout(sys.stderr) if json else nullcontext():
        for number, (step, run) in enumerate(zip(steps, commands, strict=True)):
            known = done.knows(number, step) and not changed and not again
            seconds = None
            if not dry_run and (not known or decides_itself(step.words)):
                if again or (replace and done.otherwise(number, step)):
                    take_away(step.words, step.makes)
                if not begun(step.words, step.makes):
                    done.begin(number, step)
                seconds = _run(step, run)
                known = known and done.same_work(number, step)
                done.end(number, step, same=known)
            changed = changed or not known
            facts.append({"step": step.name, "left": not known, "seconds": seconds})
            _tell(step, seconds, left=not known)
    if json:
        print_json(facts)


def _command(step: Step) -> Any:
    """The step's command with its options read.

    Raises:
        BadArgument: There is no such command, or it has no such option or value.
    """
    from drehr_rag.cli import app

    try:
        found: Any = typer.main.get_command(app)
        for word in step.words:
            found = found.commands[word]
    except (KeyError, AttributeError):
        found = None
    if found is None or hasattr(found, "commands"):
        raise BadArgument(f"{step.name}: there is no such command; drehr-rag --help lists them")
    try:
        return found.make_context(" ".join(step.words), list(step.arguments))
    except UsageError as problem:
        raise BadArgument(f"{step.name}: {problem.format_message()}") from None
    except typer.Exit:
        raise BadArgument(f"{step.name}: that only shows help") from None


def _run(step: Step, context: Any) -> float:
    _say(f"{step.name} …")
    started = perf_counter()
    with _named(step), context:
        context.command.invoke(context)
    return perf_counter() - started


@contextmanager
def _named(step: Step) -> Iterator[None]:
    """What goes wrong says in which step."""
    try:
        yield
    except DrehrError as problem:
        problem.args = (f"{step.name}: {problem}", *problem.args[1:])
        raise
    except UsageError as problem:
        raise BadArgument(f"{step.name}: {problem.format_message()}") from None


def _tell(step: Step, seconds: float | None, *, left: bool) -> None:
    if not left:
        _say(f"{step.name}: done before")
    elif seconds is None:
        _say(f"{step.name}: would run")
    else:
        _say(f"{step.name}: {seconds:,.1f} s")


def _say(words: str) -> None:
    Console(stderr=True).print(plain(words), markup=False)
