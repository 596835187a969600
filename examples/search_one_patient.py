"""Index an invented ward and search one patient, one stay and one section."""

from drehr_rag import EhrIndex, Encounter, Patient, ward

with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(ward.notes())
    for hit in index.search("kidney injury", scope=Patient("p01"), k=3):
        print(f"{hit.score:.2f}", hit.chunk.note_id, hit.chunk.section)
    stay = Encounter("p01", "p01-e1")
    for hit in index.search("metformin", scope=stay, section="medications", k=3):
        print(f"{hit.score:.2f}", hit.chunk.note_id, hit.chunk.section)
