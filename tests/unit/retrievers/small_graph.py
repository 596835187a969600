"""A small graph, built like any other, and an inventory in a published form."""

from drehr_rag.kg import Record, Source, build_graph
from drehr_rag.kg import build as building
from drehr_rag.kg.inventories import Inventory
from drehr_rag.kg.loaders import Loaded

RECORDS = [
    Record("D:1", ("CHF", "congestive heart failure"), preferred="heart failure, congestive"),
    Record("D:2", ("HFrEF",), preferred="systolic dysfunction", parents=("D:1",)),
    Record("D:3", ("cor pulmonale",), parents=("D:1", "D:4")),
    Record("D:4", ("right heart strain",), parents=("D:3",)),  # a ring
    Record("D:5", ("anemia", "low blood count"), preferred="Anemia (disorder)"),
    Record("D:6", ("upper abdominal pain", "epigastric ache")),
    Record("D:7", ("myocardial infarction", "heart attack", "acute heart attack")),
    Record("D:8", ("ALL", "acute lymphoblastic leukemia"), related=(("treated by", "R:1"),)),
    Record("R:1", ("vincristine",)),
]

INVENTORY = """\
abbreviation\tsense\tvariation\tCUI\tfrequency
MI\tmyocardial infarction\tMI_9|mi_1\tC0027051\t0.9
MI\tmitral insufficiency\tMI_1\tC0026266\t0.1
WAS\twiskott-aldrich syndrome\tWAS_3|was_9\tC0043194\t1.0
"""


def small_graph(tmp_path, monkeypatch, records=RECORDS):
    """The graph in a folder."""
    with monkeypatch.context() as patch:
        patch.setattr(building, "load", lambda *_, **__: Loaded("test", "CC0", [], iter(records)))
        return build_graph(tmp_path / "kg", [Source(tmp_path)])


def small_inventory(tmp_path):
    """The inventory in a file."""
    file = tmp_path / "abbreviations.tsv"
    file.write_text(INVENTORY)
    return Inventory([file])
