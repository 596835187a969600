"""Ask questions; each sentence of an answer says where it stands, or there is no answer."""

from drehr_rag import EhrIndex, Patient, ward

notes = {note.note_id: note for note in ward.notes()}
with EhrIndex.open(":memory:", encoder="offline") as index:
    index.add(notes.values())
    for question in ("Why was enoxaparin stopped?", "Does the patient have glaucoma?"):
        answer = index.ask(question, scope=Patient("p08"))
        print(question, "→", answer.text or f"no answer: {answer.reason}")
        for citation in answer.citations:
            raw = notes[citation.note_id].text
            print("   ", citation.note_id, citation.section, citation.start, citation.end)
            print("   ", raw[citation.start : citation.end] == citation.quote)
