"""What rules say of mentions: the usual turns of phrase, and the labelled sentences."""

import re

import pytest

from benchmarks.assertions import counts, labelled
from drehr_rag.errors import BadArgument
from drehr_rag.notes.assertion_cues import KINDS, cues
from drehr_rag.notes.assertions import assertion_of, assertions_of, scopes


def status(text, mention):
    start = text.index(mention)
    return assertion_of(text, start, start + len(mention)).status


@pytest.mark.parametrize(
    ("text", "mention", "expected"),
    [
        ("Patient has pneumonia.", "pneumonia", "present"),
        ("Denies fever, chills, or chest pain.", "chest pain", "negated"),
        ("No evidence of pulmonary embolism.", "pulmonary embolism", "negated"),
        ("She doesn’t have diabetes.", "diabetes", "negated"),
        ("Chest pain is not present.", "Chest pain", "negated"),
        ("Pneumonia was ruled out.", "Pneumonia", "negated"),
        ("Patient denies that he has had any seizures.", "seizures", "negated"),
        ("Allergies: none", "Allergies", "negated"),
        ("Fever: none. Cough: yes.", "Fever", "negated"),
        ("Fever: none. Cough: yes.", "Cough", "present"),
        ("No fever but has cough.", "cough", "present"),
        ("He denied chest pain, however he did report dyspnea.", "dyspnea", "present"),
        ("No increase in the effusion.", "effusion", "present"),
        ("Not only cough but also fever.", "cough", "present"),
        ("Blood culture grew gram negative rods.", "rods", "present"),
        ("Admitted in no acute distress.", "acute distress", "negated"),
        ("MRI with and without contrast shows a mass.", "mass", "present"),
        ("Rule out pneumonia.", "pneumonia", "possible"),
        ("PE cannot be ruled out.", "PE", "possible"),
        ("She is not complaining of pain.", "pain", "negated"),
        ("No reported falls.", "falls", "negated"),
        ("Pneumonia vs. atelectasis", "atelectasis", "possible"),
        ("No fever, possible pneumonia.", "pneumonia", "possible"),
        ("If chest pain returns, call 911.", "chest pain", "conditional"),
        ("Return to the ED for fever or worsening pain.", "fever", "conditional"),
        ("Pneumonia; heparin for DVT prophylaxis.", "DVT", "conditional"),
        ("Pneumonia; heparin for DVT prophylaxis.", "Pneumonia", "present"),
        ("Vicodin prn, metformin daily.", "metformin", "present"),
        ("h/o stroke", "stroke", "historical"),
        ("Her chest pain has resolved.", "chest pain", "historical"),
        ("History of asthma, presents with cough.", "cough", "present"),
        ("Cough over the past week.", "Cough", "present"),
        ("His mother had breast cancer.", "breast cancer", "family"),
        ("Mother had breast cancer and she has hypertension.", "hypertension", "present"),
        ("Cancer in his mother.", "Cancer", "family"),
        ("The patient's mother reports that he has a fever.", "fever", "present"),
        ("No family history of colon cancer.", "colon cancer", "family"),
    ],
)
def test_what_is_said(text, mention, expected):
    assert status(text, mention) == expected


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("No FEVER or COUGH.", [True, True]),
        ("Denies FEVER. COUGH since May.", [True, False]),
        ("FEVER was ruled out; COUGH stays.", [True, False]),
        ("COUGH, however FEVER is absent.", [False, True]),
        ("Gram negative SEPSIS", [False]),
        ("Without difficulty, FEVER", [False]),
        ("Not only FEVER", [False]),
        ("Rule out PNEUMONIA.", [False]),
        ("Knots and NODULES", [False]),
        ("no  evidence of FEVER", [True]),
        ("Temperature 38.5, no CHILLS", [True]),
        ("No family history of GOUT.", [True]),
        ("", []),
    ],
)
def test_what_is_denied_whatever_else_is_said(text, denied):
    """As the training data want it: what nobody in the family has is denied too."""
    places = [match.span() for match in re.finditer(r"\b[A-Z]{4,}\b", text)]
    assert ["negated" in one.said for one in assertions_of(text, places)] == denied


def test_all_that_is_said_stands_in_order():
    text = "No family history of colon cancer."
    start = text.index("colon")
    assert assertion_of(text, start, len(text) - 1).said == ("family", "negated")


def test_a_section_says_it_of_all_in_it():
    text = "Past Medical History:\nAsthma\nCOPD\nFamily History:\nGout\nPlan:\nSalbutamol"
    assert status(text, "Asthma") == "historical"
    assert status(text, "COPD") == "historical", "capitals alone on a line are an item here"
    assert status(text, "Gout") == "family"
    assert status(text, "Salbutamol") == "present"


def test_the_section_of_a_part_of_a_note_is_told():
    assert assertion_of("Gout, diabetes", 0, 4, section="FH").status == "family"
    assert assertion_of("Gout, diabetes", 0, 4, section="Assessment").status == "present"


def test_a_list_belongs_to_the_words_that_introduce_it():
    text = "The patient denies:\n- fever\n- chest pain\n\nHas a cough."
    assert status(text, "fever") == status(text, "chest pain") == "negated"
    assert status(text, "cough") == "present"
    assert status("Denies drugs.\n- fever", "fever") == "present"


def test_a_mention_with_a_cue_of_its_own_is_not_denied_by_it():
    assert status("Skin: no rash", "no rash") == "present"
    assert status("Skin: no rash", "rash") == "negated"


def test_many_mentions_at_once_are_as_one_by_one():
    text = (
        "Denies fever, chills. Mother had gout.\n\nPMH:\nasthma, s/p MI\n\nPossible UTI if febrile."
    )
    places = [(start, start + 3) for start in range(len(text) - 3)]
    assert assertions_of(text, places) == [assertion_of(text, *place) for place in places]
    assert assertions_of(text, []) == []
    assert assertion_of("", 0, 0).status == "present"


@pytest.mark.parametrize("place", [(-1, 2), (2, 1), (0, 6), (9, 9)])
def test_a_mention_outside_of_the_text_is_refused(place):
    with pytest.raises(
        BadArgument, match=f"from {place[0]} to {place[1]} is no part of a text of 5"
    ):
        assertions_of("Cough", [(0, 5), place])


def test_scopes_lie_in_the_text_and_beside_their_cue():
    text = "Denies fever, chills. Cough is absent.\nFAMILY HISTORY: gout, no cancer"
    found = scopes(text)
    assert {scope.kind for scope in found} == {"negated", "family"}
    for scope in found:
        assert 0 <= scope.start <= scope.end <= len(text)
        assert scope.cue[1] <= scope.start if scope.forward else scope.end <= scope.cue[0]


def test_cues_of_the_table_are_all_read():
    found = list(cues("her aunt died, cannot be ruled out, half-sister with", 0, 60))
    assert [one.cue.kinds[0] for one in found] == ["family", "possible", "family"]
    assert {one.cue.way for one in found} == {"forward", "backward"}
    assert set(KINDS) >= {kind for one in found for kind in one.cue.kinds}


@pytest.mark.parametrize(
    ("piece", "each"),
    [("x", 0), ("(", 0), ("no ", 1), ("mother ", 0), ("a.\n", 0), ("1. ", 0), ("no x, but ", 1)],
)
def test_long_texts_without_an_end(piece, each):
    """A square of their length would be minutes."""
    times = 200_000 // len(piece)
    assert len(scopes(piece * times)) == each * times


def test_the_labelled_sentences(shared_data):
    halves, left = labelled(shared_data)
    assert left < 20
    assert _f1("negation: Negated", halves["report"]) >= 0.96
    assert _f1("temporality: Not particular", halves["report"]) >= 0.9
    assert _f1("temporality: Historical", halves["report"]) >= 0.6


def _f1(label, rows):
    right, said, wanted = counts(label, rows)
    return 2 * right / (said + wanted)
