"""`drehr-rag delete`: notes or a patient, without trace."""

import sys
from typing import Annotated, Optional

import typer

from drehr_rag.cli._options import AccessOptions, Json, Store, access_of
from drehr_rag.cli._show import console, print_json
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex


def command(
    store: Store,
    patient: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Delete all notes of this patient.", metavar="ID"),
    ] = None,
    note: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Delete this note; may be repeated.", metavar="ID"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    access: AccessOptions = None,
    json: Json = False,
) -> None:
    """Delete notes, or all notes of a patient, from a store.

    [bold]Example:[/bold] drehr-rag delete --store ./ehr.idx --patient p1 --yes
    """
    if (patient is None) == (not note):
        raise BadArgument("say what to delete: --patient ID, or --note ID (may be repeated)")
    what = f"patient {patient}" if patient is not None else f"{len(note or [])} notes"
    if not yes:
        if not sys.stdin.isatty():
            raise BadArgument("deleting asks first; without a terminal, add --yes")
        typer.confirm(f"Delete {what} from {store}?", abort=True)
    with EhrIndex.open(store, access=access_of(access)) as index:
        gone = index.delete_notes(note or []) if patient is None else index.delete_patient(patient)
    if json:
        print_json({"deleted_chunks": gone})
    else:
        console().print(f"{gone} chunks of {what} deleted" if gone else f"nothing held of {what}")
