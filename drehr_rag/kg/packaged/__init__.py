"""The knowledge graph and the abbreviations that come with the package.

Made by `python -m benchmarks.packaged_graph` of sources that may be passed on; NOTICE names them.
"""

from pathlib import Path

from drehr_rag.kg.graph import StoredGraph
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.senses import Senses

NAME = "packaged"
"""What it is called where a graph's folder may be given."""

FOLDER = Path(__file__).parent
GRAPH = FOLDER / "graph"

INVENTORIES = (
    "vanderbilt_discharge_sums.tsv",
    "vanderbilt_clinic_notes.tsv",
    "stetson_signout.tsv",
    "columbia_obgyn.txt",
)
"""The most trusted first: those that counted senses in notes, then one that did not."""

SENSES = FOLDER / "abbreviations" / "senses.tsv"
"""What tells the senses of ambiguous ones apart, made by `python -m benchmarks.senses make`."""


def packaged_graph() -> StoredGraph:
    """Diseases, symptoms, drugs and procedures, mapped where they are installed.

    Nothing is unpacked: opening takes milliseconds, and processes share the memory.
    """
    return StoredGraph(GRAPH)


def packaged_inventory() -> Inventory:
    """Abbreviations of clinical notes, with the shares of their senses."""
    files = (FOLDER / "abbreviations" / name for name in INVENTORIES)
    return Inventory(files, Senses(SENSES))
