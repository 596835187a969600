"""Small graphs for stage 1, made of records as a loader gives them."""

from drehr_rag.kg import Record, Source, StoredGraph, build_graph
from drehr_rag.kg import build as building
from drehr_rag.kg.loaders import Loaded

HEART = [
    Record(
        "D:1",
        ("heart attack", "coronary thrombosis"),
        preferred="Myocardial infarction",
        parents=("D:2",),
        related=(("has symptom", "S:1"), ("excludes", "S:2")),
    ),
    Record("D:2", ("cardiac disease",), preferred="Heart disease", parents=("D:9",)),
    Record("D:3", preferred="atrial fibrillation", parents=("D:2",)),
    Record("D:4", ("ALL",), preferred="acute lymphocytic leukemia"),
    Record("D:9", preferred="disease"),
    Record("S:1", ("thoracic pain",), preferred="chest pain"),
    Record("S:2", preferred="rash"),
    Record("X:1", preferred="time"),
]


def make_graph(folder, monkeypatch, *records) -> StoredGraph:
    loaded = Loaded("test", "CC0", [], iter(records or HEART))
    with monkeypatch.context() as patch:
        patch.setattr(building, "load", lambda *_, **__: loaded)
        return build_graph(folder, [Source(folder.parent)])
