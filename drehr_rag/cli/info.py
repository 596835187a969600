"""`drehr-rag info`: what a store holds and how it was made."""

from rich.table import Table

from drehr_rag.cli._options import AccessOptions, Json, Store, access_of
from drehr_rag.cli._show import console, print_json
from drehr_rag.index import EhrIndex
from drehr_rag.types import Fingerprint


def command(store: Store, access: AccessOptions = None, json: Json = False) -> None:
    """Show how much a store holds, and which encoder and chunker made it.

    [bold]Example:[/bold] drehr-rag info --store ./ehr.idx
    """
    with EhrIndex.open(store, access=access_of(access)) as index:
        facts = index.info()
    if json:
        print_json(facts)
        return
    table = Table(show_header=False)
    facts["fingerprint"] = Fingerprint(**facts["fingerprint"])
    for name, value in facts.items():
        table.add_row(name, str(value))
    console().print(table)
