"""Replies as models write them: what is an entity comes back, what is none is counted or failed."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.training.masking import text_key
from drehr_rag.training.stage2.entities import LONGEST, WORDS, why_not
from drehr_rag.training.stage2.json_replies import CHARACTERS, ITEMS, SCHEMA, parse_json
from drehr_rag.training.stage2.replies import parse_bullets


def entities(reply, **how):
    return list(parse_bullets(reply, **how).entities)


@pytest.mark.parametrize(
    "entity",
    [
        "nausea",
        "Naproxen",
        "nasal congestion",
        "NASH",
        "Na+ deficiency",
        "none-ST-elevation myocardial infarction",
        "Noncompliance",
        "nil per os status",
        "N-acetylcysteine",
        "no light perception",
        "nothing by mouth",
        "unknown primary carcinoma",
        "no known drug allergies",
    ],
)
def test_what_begins_like_none_survives(entity):
    assert entities(f"- {entity}\n- gout") == [entity, "gout"]


@pytest.mark.parametrize(
    "nothing",
    [
        "None",
        "none.",
        "N/A",
        "NA",
        "n.a.",
        "Not applicable",
        "None mentioned",
        "None stated or inferred.",
        "No diagnoses",
        "No procedures are mentioned in the passage.",
        "Nothing can be inferred",
        "**None**",
        "Not specified",
        "Unknown",
    ],
)
@pytest.mark.parametrize("bullet", ["- ", "", "1. ", "Diagnoses:\n- ", "Here is the list:\n"])
def test_none_in_any_form_is_an_answer_without_entities(nothing, bullet):
    parsed = parse_bullets(bullet + nothing)
    assert (parsed.entities, parsed.failure) == ((), None)
    assert dict(parsed.refused)["says there is none"] == 1


@pytest.mark.parametrize(
    "bullet",
    ["- ", "* ", "• ", "1. ", "12) ", "(3) ", "– ", "◦ ", "  - ", "\t* ", "-", "•", "+ ", "1.\t"],
)
def test_bullets(bullet):
    assert entities(f"{bullet}gout\n{bullet}heart failure") == ["gout", "heart failure"]


def test_what_is_parsed_is_not_shown():
    parsed = parse_bullets("- Quillfeather syndrome\n- N/A")
    assert parsed.entities == ("Quillfeather syndrome",)
    assert "Quillfeather" not in repr(parsed)


def test_preamble_headings_closing_prose_and_fences():
    reply = """Here are the diagnoses I found:

```markdown
**Stated:**
- Hypertension
- Diagnoses:
  - Type 2 diabetes mellitus (inferred from metformin)
```

Note: I did not include the family history."""
    parsed = parse_bullets(reply)
    assert parsed.entities == ("Hypertension", "Type 2 diabetes mellitus")
    assert dict(parsed.refused) == {"a heading": 1, "a line without a bullet": 3}
    assert parsed.failure is None


@pytest.mark.parametrize(
    ("item", "entity"),
    [
        ("**Atrial fibrillation**", "Atrial fibrillation"),
        ("**Atrial fibrillation**.", "Atrial fibrillation"),
        ("`aspirin`,", "aspirin"),
        ("“aspirin”", "aspirin"),
        ('"aspirin"', "aspirin"),
        ("Crohn's disease", "Crohn's disease"),
        ("Hypertension (explicitly stated)", "Hypertension"),
        ("Atrial fibrillation (AF)", "Atrial fibrillation (AF)"),
        ("1.5-fold enlargement of the spleen", "1.5-fold enlargement of the spleen"),
        ("β-thalassaemia", "β-thalassaemia"),
        ("Sjögren   syndrome ", "Sjögren syndrome"),
    ],
)
def test_what_is_taken_off_an_item(item, entity):
    assert entities(f"- {item}") == [entity]


def test_duplicates_whatever_their_case_and_width():
    parsed = parse_bullets("- Gout\n- gout\n- GOUT.\n- ｇｏｕｔ\n- fever")
    assert parsed.entities == ("Gout", "fever")
    assert dict(parsed.refused) == {"twice": 3}


def test_sentences_are_no_entities():
    long = "The patient was seen in clinic today and was told to come back in two weeks time"
    parsed = parse_bullets(f"- gout\n- {long}\n- {'x' * (LONGEST + 1)}\n- --\n- 12/04")
    assert parsed.entities == ("gout",)
    assert dict(parsed.refused) == {"too long": 2, "without a letter": 2}


def test_a_cut_reply_loses_its_last_line_only():
    assert entities("- gout\n- heart fail", cut=True) == ["gout"]
    assert entities("- gout\n- heart failure\n", cut=True) == ["gout", "heart failure"]
    assert dict(parse_bullets("- gout\n- heart fail", cut=True).refused) == {"cut off": 1}
    assert entities("- gout\n- heart fail") == ["gout", "heart fail"]


@pytest.mark.parametrize(
    ("reply", "cut", "failure"),
    [
        ("", False, "an empty reply"),
        (" \n\n", False, "an empty reply"),
        ("- heart fail", True, "cut before the first entity"),
        ("The patient has gout and fever.", False, "prose, not a list"),
        ("I'm sorry, I cannot help with medical records.", False, "prose, not a list"),
        ("Gout, fever, heart failure", False, "prose, not a list"),
        ("Diagnoses:\nGout\nFever", False, "prose, not a list"),
        ("患者有高血压和糖尿病。", False, "in another script"),
        ("- 高血压\n- 糖尿病", False, "in another script"),
        ("- гипертония\n- None", False, "in another script"),
        ("<think>The passage says gout. So", True, "cut within its reasoning"),
    ],
)
def test_replies_that_are_no_list_fail_with_a_reason(reply, cut, failure):
    parsed = parse_bullets(reply, cut=cut)
    assert (parsed.entities, parsed.failure) == ((), failure)


def test_one_foreign_item_among_others_is_refused_alone():
    parsed = parse_bullets("- gout\n- 糖尿病")
    assert parsed.entities == ("gout",)
    assert dict(parsed.refused) == {"another script": 1}


def test_reasoning_before_the_list_is_no_part_of_it():
    assert entities("<think>\n- maybe fever?\n</think>\n\n- gout") == ["gout"]


CHARS = string.ascii_letters + string.digits + " -/'(),.%+αéü"
NAME = st.text(CHARS, min_size=1, max_size=LONGEST).map(lambda s: " ".join(s.split()))
ENTITY = NAME.filter(
    lambda s: s[:1].isalnum() and s[-1:].isalnum() and len(s.split()) <= WORDS and not why_not(s)
)


@given(
    st.lists(ENTITY, min_size=1, max_size=8, unique_by=text_key),
    st.sampled_from(["- ", "* ", "• ", "{}. ", "{}) "]),
    st.sampled_from(["", "Here they are:\n\n"]),
    st.sampled_from(["", "\n\nThese were stated or inferred."]),
)
def test_entities_written_as_bullets_come_back(names, bullet, before, behind):
    lines = [bullet.format(number) + name for number, name in enumerate(names, 1)]
    assert entities(before + "\n".join(lines) + behind) == names


@given(st.text(), st.booleans())
def test_whatever_is_replied_is_taken_or_refused(reply, cut):
    for parsed in (parse_bullets(reply, cut=cut), parse_json(reply, cut=cut)):
        assert not (parsed.entities and parsed.failure)
        for entity in parsed.entities:
            assert entity == entity.strip() != ""
            assert why_not(entity) is None


# -- JSON ------------------------------------------------------------------------------------------


def test_json_replies():
    parsed = parse_json('{"entities": ["gout", "N/A", "Gout", "nausea", "\\ud800fever"]}')
    assert parsed.entities == ("gout", "nausea", "fever")
    assert dict(parsed.refused) == {"says there is none": 1, "twice": 1}
    assert parse_json('{"entities": []}').failure is None


@pytest.mark.parametrize(
    ("reply", "cut", "failure"),
    [
        ('{"entities": ["gout", "hea', True, "cut within its JSON"),
        ("- gout", False, "not JSON"),
        ("[" * 100_000, False, "not JSON"),
        ('["gout"]', False, "JSON of another form"),
        ('{"entities": "gout"}', False, "JSON of another form"),
        ('{"entities": [1]}', False, "JSON of another form"),
        ('{"entities": [], "note": "x"}', False, "JSON of another form"),
        ('{"entities": ["高血压"]}', False, "in another script"),
    ],
)
def test_json_of_another_kind_fails_with_a_reason(reply, cut, failure):
    parsed = parse_json(reply, cut=cut)
    assert (parsed.entities, parsed.failure) == ((), failure)


def test_the_schema_is_bounded_within_the_longest_reply():
    items = SCHEMA["properties"]["entities"]
    assert items["maxItems"] == ITEMS
    assert items["items"]["maxLength"] == CHARACTERS
    whole = json.dumps({"entities": ["x" * CHARACTERS] * ITEMS})
    assert len(whole) / 512 < 3  # characters a token: English names have more
