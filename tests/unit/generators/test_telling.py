"""Whether notes tell what is asked for: what is named by chance, or only planned, tells little."""

import json

import pytest

from drehr_rag.generators import load_generator
from drehr_rag.generators._signals import signals
from drehr_rag.generators._telling import LEAST, told
from drehr_rag.generators._wanted import wanted
from drehr_rag.generators.extractive import sentences_of
from drehr_rag.notes.sentences import sentence_spans
from drehr_rag.protocols import GenerationRequest

OTHER = ("No cough.", "Slept well.", "Walks daily.", "Eats well.") * 20


def share(question, *texts):
    sentences = sentences_of(texts, sentence_spans)
    return told(question, signals(question, wanted(question), sentences), sentences)


def answered(question, *texts):
    generator = load_generator("extractive", split=sentence_spans)
    reply = generator.generate(GenerationRequest("", question, (*texts, *OTHER), {}))
    return bool(json.loads(reply)["sentences"])


def test_what_more_sentences_have_is_told_the_surer():
    asked = "Any gout?"
    assert 0.0 == share(asked, *OTHER) < share(asked, "Gout.", *OTHER)
    assert share(asked, "Gout.", *OTHER) < share(asked, "Gout.", "Has gout.", *OTHER) < 1.0


def test_how_much_else_was_read_makes_no_difference():
    assert share("Any gout?", "Gout.") == pytest.approx(share("Any gout?", "Gout.", *OTHER))


@pytest.mark.parametrize(
    ("question", "planned", "done"),
    [
        ("What did the fetal echocardiogram show?", "Fetal echo booked.", "Fetal echo normal."),
        (
            "What was her fecal elastase result?",
            "Creon: stop if fecal elastase normal.",
            "Fecal elastase 90, low.",
        ),
        ("What was the procalcitonin level?", "Will send procalcitonin.", "Procalcitonin 0.3."),
        ("Outcome of the eye check?", "Eye check due in May.", "Eye check: no retinopathy."),
        ("What was the troponin level?", "Repeat troponin tomorrow.", "Troponin 12 at 06:00."),
    ],
)
def test_what_is_only_planned_tells_no_result(question, planned, done):
    assert not answered(question, planned)
    assert answered(question, done)


def test_plans_are_told_where_they_are_asked_for():
    assert answered("When is the fetal echo?", "Fetal echo booked for 3 May.")
    assert answered("Why might the Creon be stopped?", "Creon: stop if fecal elastase normal.")


@pytest.mark.parametrize("question", ["Does he take a statin?", "Was a statin tested?"])
def test_one_of_a_kind_is_enough_but_not_for_a_result(question):
    assert answered(question, "Rosuvastatin 10 mg daily.") == ("tested" not in question)


@pytest.mark.parametrize("question", ["What was the ferritin level?", "Ferritin result?"])
def test_a_result_that_stands_once_is_enough(question):
    assert answered(question, "Ferritin 12.")


def test_a_kind_that_is_named_tells_little_of_what_is_of_it():
    assert share("Does she take alendronate?", "No bisphosphonate.") < LEAST
    assert share("Does she take a bisphosphonate?", "Alendronate weekly.") >= LEAST


def test_a_reason_is_no_result():
    plan = "Lasix held, will restart if weight rises."
    assert share("Lasix held as a result of what?", plan) > share("Lasix result?", plan)


def test_nothing_read_tells_nothing():
    assert share("Any gout?") == 0.0
