"""Headings become sections; together the sections are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.notes.sections import USUAL, canonical, split_sections

# fmt: off
LINES = st.sampled_from(
    [
        "FINDINGS:", "PMH: asthma", "Plan", "ASSESSMENT AND PLAN", "fever.", "", "  ",
        "**HPI:** x", "Past Medical History:", "# Labs:", "BP: 120/80", "1. Aspirin", "\tMeds:",
        "É:", ":", "\x0c",
    ]
)
# fmt: on
TEXTS = st.one_of(
    st.lists(LINES, max_size=12).map("\n".join),
    st.lists(LINES, max_size=12).map("\r\n".join),
    st.text(alphabet="AaPlan :\n\r\t*#.,é", max_size=80),
    st.text(max_size=60),
)


def titles(text):
    return [section.title for section in split_sections(text)]


@given(TEXTS)
def test_sections_partition_the_text(text):
    sections = split_sections(text)
    assert "".join(text[s.start : s.end] for s in sections) == text
    edge = 0
    for section in sections:
        assert section.start == edge
        assert section.start <= section.body <= section.end
        assert section.start < section.end
        edge = section.end


@given(TEXTS)
def test_only_the_first_section_may_lack_a_title(text):
    assert all(title for title in titles(text)[1:])


@given(st.lists(LINES, max_size=12))
def test_windows_line_ends_make_no_difference(lines):
    assert titles("\r\n".join(lines)) == titles("\n".join(lines))


NOTE = """Name: ___
CHIEF COMPLAINT: chest pain

HPI: 61 y/o man with pain since yesterday.
He took aspirin: no relief.
Past Medical History:
1. Gout
2. Diabetes: diet only
FAMILY HISTORY
Father: died of MI.
Meds on arrival, all held:
**Assessment/Plan:** admit
"""


def test_an_example():
    assert titles(NOTE) == [
        None,
        "chief complaint",
        "history of present illness",
        "past medical history",
        "family history",
        "meds on arrival, all held",
        "assessment and plan",
    ]
    sections = split_sections(NOTE)
    assert NOTE[sections[1].start : sections[1].end] == "CHIEF COMPLAINT: chest pain\n\n"
    assert NOTE[sections[1].body : sections[1].end].strip() == "chest pain"
    assert NOTE[sections[6].body : sections[6].end].strip() == "admit"


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("FINDINGS:", "findings"),
        ("Impression:", "impression"),
        ("IMPRESSION", "impression"),
        ("pmh: asthma", "past medical history"),
        ("A/P: admit", "assessment and plan"),
        ("Social", "social history"),
        ("EXAMINATION OF THE LEFT KNEE: normal", "examination of the left knee"),
        ("Course in the emergency room:", "course in the emergency room"),
        ("O/E: well", "physical exam"),
        ("## Plan:", "plan"),
    ],
)
def test_headings(line, title):
    assert titles(f"Before.\n{line}\nAfter.") == [None, title]


@pytest.mark.parametrize(
    "line",
    [
        "Blood pressure: 120/80",
        "He said: no pain",
        "plan to discharge",
        "BP",
        "aspirin 81 mg daily",
        "The patient was told to come back at once if any of this returns:",
        "1. Aspirin:",
        "ASPIRIN, CLOPIDOGREL, METOPROLOL AND ALSO LISINOPRIL AT HOME",
        "social",
    ],
)
def test_lines_that_are_no_headings(line):
    assert titles(f"Before.\n{line}\nAfter.") == [None]


def test_no_text_no_section():
    assert split_sections("") == []
    assert titles("no heading at all") == [None]


@pytest.mark.parametrize("written", ["PMH", "pmh:", " Past  Medical\nHistory: ", "**PMHx:**"])
def test_canonical_names(written):
    assert canonical(written) == "past medical history"


def test_canonical_keeps_what_it_does_not_know():
    assert canonical("Birth History:") == "birth history"


def test_no_other_way_to_write_it_means_two_sections():
    others = [other for ways in USUAL.values() for other in ways]
    assert sorted(others) == sorted(set(others))
    assert set(others) & set(USUAL) == set()


@given(st.sampled_from([*USUAL, *(o for ways in USUAL.values() for o in ways)]))
def test_canonical_is_stable(name):
    assert canonical(name) in USUAL
    assert canonical(canonical(name)) == canonical(name)
