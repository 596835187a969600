"""Stand-in until the retrieval half brings the parent of `drehr-rag eval`."""

import typer

from drehr_rag._registry import find, names

app = typer.Typer(no_args_is_help=True, help="Measure retrieval and answers.")

for _name in names(__name__):
    _module = find(__name__, _name)
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)
