"""`drehr-rag ward`: the invented ward's notes, to try everything on."""

from pathlib import Path
from typing import Annotated

import typer

from drehr_rag import ward
from drehr_rag.cli._show import console
from drehr_rag.errors import BadArgument


def command(
    out: Annotated[Path, typer.Argument(help="File to write, JSON Lines.", metavar="FILE")],
) -> None:
    """Write the notes of the invented ward, on which nobody ever lay, as JSON Lines.

    [bold]Example:[/bold] drehr-rag ward notes.jsonl
    """
    if out.exists():
        raise BadArgument(f"{out} is there: name a new file")
    notes = ward.notes()
    out.write_text("".join(note.model_dump_json() + "\n" for note in notes), encoding="utf-8")
    patients = len({note.patient_id for note in notes})
    console().print(f"{out}: {len(notes)} notes of {patients} patients")
