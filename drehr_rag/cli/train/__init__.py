"""`drehr-rag train`: a command for each module of this folder."""

import typer

from drehr_rag._registry import find, names

app = typer.Typer(
    help="Make training data, and train retrieval encoders with it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

for _name in names(__name__):
    app.command(_name)(find(__name__, _name).command)
