"""Two patients with gout, one of them on allopurinol, for tests of conversations."""

import json
from contextlib import contextmanager

from drehr_rag import EhrIndex, Note, Patient

P1, P2 = Patient("p1"), Patient("p2")

NOTES = [
    Note(note_id="n1", patient_id="p1", text="He has gout. Allopurinol 300 mg daily since May."),
    Note(note_id="n2", patient_id="p2", text="She has gout. Colchicine since June."),
]


@contextmanager
def gout_index():
    """An index of both, in memory."""
    with EhrIndex.open(":memory:", encoder="offline") as made:
        made.add(NOTES)
        yield made


def answering(*claims):
    """A generator's reply: texts with their quotes from the first passage."""
    sentences = [{"text": text, "passages": [1], "quote": quote} for text, quote in claims]
    return json.dumps({"not_in_notes": not sentences, "sentences": sentences})


def rewriting(question):
    """Its reply where a question is to be made one that stands alone."""
    return json.dumps({"question": question})
