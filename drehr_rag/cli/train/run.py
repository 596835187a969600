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
from drehr_rag.cli.train._pipeline import Done, Step, read_pipeline
from drehr_rag.errors import BadArgument, DrehrError

UsageError: Any = typer.BadParameter.__bases__[0]
"""Of click, or of the copy of it that newer versions of typer carry."""


def command(
    pipeline: Annotated[Path, typer.Argument(help="A TOML file of steps.", metavar="PIPELINE")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every step, say which would run.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Run what is done already too.")] = False,
    json: Json = False,
) -> None:
    """Run the steps of a pipeline, each a command of drehr-rag; what is done is not done again.

    All steps are checked before the first one runs. After an interruption the next run goes on
    with the step that was interrupted, and that step goes on where it can.

    [bold]Example:[/bold] drehr-rag train run pipeline.toml
    """
    steps = read_pipeline(pipeline)
    commands = [_command(step) for step in steps]
    done = Done(pipeline)
    first = 0 if again else done.first_left(steps)
    facts: list[dict[str, Any]] = []
    with redirect_stdout(sys.stderr) if json else nullcontext():
        for number, (step, run) in enumerate(zip(steps, commands, strict=True)):
            left = number >= first
            seconds = _run(step, run) if left and not dry_run else None
            facts.append({"step": step.name, "left": left, "seconds": seconds})
            _tell(step, seconds, left=left)
            if seconds is not None:
                done.write(steps[: number + 1])
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
