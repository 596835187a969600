"""The command line: one module a command.

Exit codes: 0 done; 1 it failed; 2 the command was not meant like this; 130 interrupted.
"""

import sys

import typer
from rich.console import Console
from rich.text import Text

from drehr_rag import __version__
from drehr_rag._registry import find, names
from drehr_rag.cli._ending import Ended, listen
from drehr_rag.errors import BadArgument, DrehrError, ScopeError, ScopeRequired

app = typer.Typer(
    name="drehr-rag",
    help="Search clinical notes and answer questions from them, with citations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"drehr-rag {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Search clinical notes and answer questions from them, with citations."""


for _name in names(__name__):
    _module = find(__name__, _name)
    if hasattr(_module, "app"):  # a command with commands of its own
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)


def main() -> None:
    """Run the command line; a user's mistake ends in one line, not in a traceback."""
    listen()
    try:
        app()
    except Ended as ended:
        ended.heard = True
        raise
    except (BadArgument, ScopeError, ScopeRequired) as problem:
        _fail(problem, 2)
    except DrehrError as problem:
        _fail(problem, 1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)
    except (OSError, UnicodeEncodeError) as problem:
        _fail(problem, 1)


def _fail(problem: Exception, code: int) -> None:
    said = str(problem)
    if isinstance(problem, UnicodeEncodeError):  # its own message would show what was printed
        said = f"this terminal cannot show a character ({problem.encoding}): set PYTHONUTF8=1"
    message = Text.assemble(("error: ", "bold red"), said)
    Console(stderr=True, soft_wrap=True).print(message)
    sys.exit(code)
