"""`drehr-rag train`: a command for each module of this folder."""

import typer

from drehr_rag._registry import find, names

app = typer.Typer(
    help="Build training data and train encoders as DR.EHR was trained.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

for _name in names(__name__):
    _module = find(__name__, _name)
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)
