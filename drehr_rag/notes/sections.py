"""Headings → sections, as offsets into the untouched text.

A heading stands at the start of a line. It is one of
  * a line of its own that ends in a colon ("Past Medical History:"),
  * capitals followed by a colon ("FINDINGS: There is …"), or alone on a line,
  * one of the usual headings (`USUAL`) followed by a colon, whatever its case ("PMH: asthma").
"""

import re
from collections.abc import Iterator

from drehr_rag.types import Section

USUAL: dict[str, tuple[str, ...]] = {
    "chief complaint": ("cc", "presenting complaint", "pc", "reason for visit"),
    "reason for consultation": ("reason for consult", "reason for admission"),
    "history of present illness": (
        "hpi",
        "history of presenting complaint",
        "hpc",
        "present illness",
        "history",
        "interval history",
    ),
    "past medical history": ("pmh", "pmhx", "medical history", "past history"),
    "past surgical history": ("psh", "pshx", "surgical history"),
    "family history": ("fh", "fhx", "family medical history"),
    "social history": ("sh", "shx", "social"),
    "medications": (
        "meds",
        "current medications",
        "home medications",
        "home meds",
        "medications on admission",
        "admission medications",
        "drug history",
        "dh",
        "dhx",
    ),
    "discharge medications": ("medications on discharge", "discharge meds"),
    "allergies": ("allergy", "drug allergies", "allergies and intolerances"),
    "review of systems": ("ros",),
    "physical exam": (
        "physical examination",
        "pe",
        "exam",
        "examination",
        "o/e",
        "on examination",
        "physical",
    ),
    "vital signs": ("vitals", "vs", "obs"),
    "laboratory data": (
        "labs",
        "laboratory",
        "lab data",
        "laboratory results",
        "pertinent results",
    ),
    "imaging": ("radiology", "radiographs", "studies", "diagnostic studies"),
    "indication": ("clinical indication", "indications"),
    "technique": (),
    "comparison": (),
    "findings": (),
    "impression": ("imp", "impressions", "conclusion", "conclusions"),
    "assessment": (),
    "plan": ("plans",),
    "assessment and plan": ("a/p", "a&p", "assessment & plan", "assessment/plan", "ap"),
    "subjective": (),
    "objective": (),
    "hospital course": ("brief hospital course", "course", "hospital course by problem"),
    "procedure": ("procedures", "procedure performed", "operation", "operation performed"),
    "preoperative diagnosis": ("preoperative diagnoses", "pre-op diagnosis"),
    "postoperative diagnosis": ("postoperative diagnoses", "post-op diagnosis"),
    "anesthesia": ("anaesthesia",),
    "complications": (),
    "diagnosis": ("diagnoses",),
    "admission diagnosis": ("admitting diagnosis", "admission diagnoses"),
    "discharge diagnosis": ("discharge diagnoses", "final diagnosis", "final diagnoses"),
    "discharge instructions": ("instructions", "patient instructions"),
    "discharge condition": ("condition on discharge", "condition at discharge"),
    "disposition": ("discharge disposition",),
    "follow-up": ("followup", "follow up", "followup instructions"),
}
"""Canonical name → other ways to write it. Collected by reading clinical notes; not a standard."""

_CANONICAL = {name: canon for canon, others in USUAL.items() for name in (canon, *others)}

_LINE = re.compile(
    r"^[ \t]*(?:[*#]+[ \t]*)?(?P<title>[A-Za-z][A-Za-z0-9 /&,()'’.-]{0,68}?)[ \t]*\**"
    r"(?:(?P<colon>:\**)(?P<rest>[^\n]*)|(?P<end>[ \t]*\r?)$)",
    re.MULTILINE,
)
_MAX_WORDS = 8


def canonical(title: str) -> str:
    """The usual name of a heading: "PMH" and "Past medical history:" are the same section."""
    plain = re.sub(r"\s+", " ", title.strip(" \t\n:*#")).lower()
    return _CANONICAL.get(plain, plain)


def split_sections(text: str) -> list[Section]:
    """The sections of a note, in order, without gap or overlap: together they are the text.

    What stands before the first heading is a section without a title.
    """
    found = list(_headings(text))
    edges = [start for start, _, _ in found] + [len(text)]
    sections = [
        Section(title, start, body, edges[i + 1]) for i, (start, body, title) in enumerate(found)
    ]
    if edges[0] > 0:
        sections.insert(0, Section(None, 0, 0, edges[0]))
    return sections


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _LINE.finditer(text):
        colon, rest = match["colon"] is not None, (match["rest"] or "").strip()
        if _is_heading(match["title"].strip(), colon, rest):
            yield match.start(), match.end("colon" if colon else 0), canonical(match["title"])


def _is_heading(title: str, colon: bool, rest: str) -> bool:
    words = title.split()
    if len(words) > _MAX_WORDS or title.endswith((",", ".", "(")):
        return False
    usual = re.sub(r"\s+", " ", title).lower() in _CANONICAL
    capitals = title.isupper() and len(title) > 3
    if colon:
        return not rest or usual or capitals
    return not rest and ((capitals and len(words) <= 5) or (usual and title[0].isupper()))
