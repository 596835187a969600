"""`drehr-rag eval`: a command for each benchmark, and one for each module of this folder."""

import typer

from drehr_rag._registry import find, names
from drehr_rag.cli.eval._benchmark import command_for

app = typer.Typer(
    help="Measure retrieval and answers; compare, picture and tune them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

for _name in names("drehr_rag.eval.benchmarks"):
    app.command(_name, rich_help_panel="Benchmarks")(command_for(_name))

for _name in names(__name__):
    _module = find(__name__, _name)
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)
