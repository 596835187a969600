"""A few notes, and a watch on the event loop, for the tests of the frameworks' edges."""

import asyncio

from drehr_rag import Note

TEXTS = {
    ("p1", "e1"): "PLAN:\nHeart failure: furosemide 40 mg.\n\nALLERGIES:\nPenicillin.",
    ("p1", "e2"): "PLAN:\nKidney injury after furosemide. Heart failure stable.",
    ("p2", "e3"): "PLAN:\nHeart failure, new. Start furosemide.\n\nFAMILY HISTORY:\nStroke.",
    ("p3", "e4"): "PLAN:\nPneumonia. Heart failure excluded.",
}


def few_notes():
    """Four notes of three patients, `n1` to `n4`."""
    return [
        Note(
            note_id=f"n{number}",
            patient_id=patient,
            encounter_id=stay,
            note_type="Progress note",
            written_at=f"2180-0{number}-01",
            text=text,
            metadata={"ward": "7b"},
        )
        for number, ((patient, stay), text) in enumerate(TEXTS.items(), 1)
    ]


async def loop_turns(count):
    """How often the event loop came round, if it did so at all."""
    done = 0
    for _ in range(count):
        await asyncio.sleep(0.002)
        done += 1
    return done
