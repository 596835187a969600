"""`drehr-rag demo`: the whole way on an invented ward."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Optional

import typer
from rich.text import Text

from drehr_rag import ward
from drehr_rag.cli._show import console, show_answer, show_hits
from drehr_rag.cli.index import report_table
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.types import AllPatients, Patient

SEARCH = ("heparin allergy", "p08")
COHORT = "pulmonary embolism"
EVERYBODY = AllPatients(reason="demo")
WARD = {note.patient_id for note in ward.notes()}
ASKED = (("Why was enoxaparin stopped?", "p08"), ("Does the patient have glaucoma?", "p08"))


def command(
    store: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Keep the index in this folder; by default it is thrown away."),
    ] = None,
    encoder: Annotated[str, typer.Option(help="As in drehr-rag index.")] = "offline",
) -> None:
    """Index an invented ward, search a patient and a cohort, answer with citations.

    [bold]Example:[/bold] drehr-rag demo --store ./ward.idx
    """
    with TemporaryDirectory() as temporary:
        place = store or Path(temporary) / "ward.idx"
        with EhrIndex.open(place, encoder=encoder) as index:
            if set(index.facets("patient_id", scope=EVERYBODY)) - WARD:
                raise BadArgument(f"{store} holds other patients: name a new folder for the demo")
            _tour(index)
    if store:
        command = f'drehr-rag search "atrial fibrillation" --patient p01 --store {store}'
        console().print(f"\nGo on with: {command}")


def _tour(index: EhrIndex) -> None:
    out = console()
    _title("Index an invented ward")
    out.print(report_table({"ward": index.add(ward.notes())}))
    query, patient = SEARCH
    _title(f'Search one patient: "{query}", scope=Patient("{patient}")')
    show_hits(index.search(query, scope=Patient(patient), k=3), query, out)
    _title(f'Search everybody: "{COHORT}", scope=AllPatients(reason="demo")')
    groups = index.search_patients(COHORT, scope=EVERYBODY, k=3, per_patient=1)
    for group in groups:
        show_hits(group.hits, COHORT, out)
    for question, patient in ASKED:
        _title(f'Ask: "{question}", scope=Patient("{patient}")')
        show_answer(index.ask(question, scope=Patient(patient)), out)


def _title(text: str) -> None:
    console().print(Text(f"\n── {text}", "bold cyan"))
