"""A note's own definitions, inventories, and what they expand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg.definitions import own_definitions

pytest.importorskip("daachorse", reason="needs the extra kg")
from drehr_rag.kg.abbreviations import Abbreviations
from drehr_rag.kg.inventories import Inventory

VANDERBILT = "abbreviation\tsense\tvariation\tCUI\tfrequency\n"
VANDERBILT += (
    "pe\tpulmonary embolus\tPE_8|pe_1\tc0034065\t0.84\npe\tphysical exam\tPE_2\tc1\t0.16\n"
)
VANDERBILT += "as\tnot an abbreviation\tas_9\t\t1\naf\tafebrile\tAF_5\t\t0.53\n"
FORMS = {
    "a.tsv": VANDERBILT,
    "b.tsv": "po\tby mouth\t1\nhtn\thypertension\t1\n",
    "c.txt": "AFI Amniotic fluid index\nAEDF Absent end diastolic flow\n",
    "d.txt": "% = percent \nand = axillary node dissection \n",
    "e.csv": '"abr","long_form"\n"PE","pleural effusion"\n"A","apical"\n',
    "f.txt": ' "RALES":"Randomized Aldactone Evaluation Study"\n',
}


@pytest.fixture
def files(tmp_path):
    for name, text in FORMS.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in FORMS]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("He has atrial fibrillation (AF).", ("AF", "atrial fibrillation")),
        ("AF (atrial fibrillation) was seen", ("AF", "atrial fibrillation")),
        ("Chronic renal failure (CRF; on dialysis)", ("CRF", "Chronic renal failure")),
        ("known acid-fast bacilli (AFB)", ("AFB", "acid-fast bacilli")),
        ("heat shock transcription factor (HSF)", ("HSF", "heat shock transcription factor")),
        ("a magnetic\nresonance imaging (MRI)", ("MRI", "magnetic resonance imaging")),
    ],
)
def test_definitions(text, pair):
    [found] = own_definitions(text)
    assert (found.short, found.long) == pair
    assert text[found.short_start :].startswith(found.short)
    assert text[found.long_start :].startswith(found.long.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "temporary loss of blindness (OS)",
        "he felt well (today)",
        "ended. (AF)",
        "(AF)",
        "a fib (AF",
        "AF (AF)",
        "pain (5/10)",
        "nothing here ( )",
    ],
)
def test_what_is_no_definition(text):
    assert own_definitions(text) == []


@given(st.text("abAF (),;.-İ\n", max_size=60))
def test_definitions_are_in_the_text(text):
    for found in own_definitions(text):
        assert text[found.short_start :].startswith(found.short)
        assert text[found.long_start :].startswith(found.long.split()[0])
        assert len(found.long) > len(found.short)


def test_inventories(files):
    inventory = Inventory(files)
    senses = inventory.senses("PE")
    assert [(s.long, s.share) for s in senses] == [
        ("pulmonary embolus", 0.84),
        ("physical exam", 0.16),
        ("pleural effusion", None),
    ]
    assert (senses[0].cui, senses[1].cui) == ("C0034065", None)
    assert [s.long for s in inventory.senses("HTN")] == ["hypertension"]
    assert [s.long for s in inventory.senses("RALES")] == ["Randomized Aldactone Evaluation Study"]
    assert [s.long for s in inventory.senses("AFI")] == ["Amniotic fluid index"]
    assert inventory.senses("Pe") == inventory.senses("nonsense") == []
    assert set(inventory.counted(0.8)) == {"PE", "pe", "po", "PO", "htn", "HTN"}


def test_expansion(files):
    abbreviations = Abbreviations(files)
    text = "HTN; atrial fibrillation (AF) as known, po and PE. AF again. PEs, copd/PE"
    found = [(text[e.start : e.end], e.long, e.by) for e in abbreviations.expand(text)]
    assert found == [
        ("HTN", "hypertension", "inventory"),
        ("AF", "atrial fibrillation", "note"),
        ("po", "by mouth", "inventory"),
        ("PE", "pulmonary embolus", "inventory"),
        ("AF", "atrial fibrillation", "note"),
        ("PE", "pulmonary embolus", "inventory"),
    ]
    assert [e.short for e in Abbreviations(files, least=0.5).expand("AF PE")] == ["AF", "PE"]


def test_a_note_that_defines_twice():
    text = "pulmonary embolism (PE) ... PE. Physical exam (PE): well. PE ends"
    found = [(e.start, e.long) for e in Abbreviations().expand(text)]
    assert found == [
        (20, "pulmonary embolism"),
        (28, "pulmonary embolism"),
        (47, "Physical exam"),
        (58, "Physical exam"),
    ]


class TinyGraph:
    def concepts(self, term):
        return ["D:1"] if term.lower() == "hypertension" else []


def test_only_what_the_graph_knows(files):
    [found] = Abbreviations(files, graph=TinyGraph()).expand("PE and HTN")
    assert (found.short, found.concepts, found.share) == ("HTN", ("D:1",), 1.0)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(GraphError, match="there is no file"):
        Abbreviations([tmp_path / "no.tsv"])
    (tmp_path / "odd.txt").write_text("{}\n")
    with pytest.raises(GraphError, match="no inventory"):
        Abbreviations([tmp_path / "odd.txt"])
    with pytest.raises(BadArgument):
        Abbreviations(least=2)


def test_the_shared_inventories(shared_data):
    first = shared_data / "abbrev" / "vanderbilt_discharge_sums.tsv"
    files = [first, *sorted(set(first.parent.iterdir()) - {first})]
    abbreviations = Abbreviations(files)
    assert len(abbreviations.inventory) > 8_000
    found = abbreviations.expand("Pt w/ HTN s/p CABG, AF and DM as of today")
    assert [e.short for e in found] == ["Pt", "w/", "HTN", "s/p", "CABG", "DM"]
