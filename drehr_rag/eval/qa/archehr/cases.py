"""`archehr-qa.xml` and its key → cases: a note excerpt with numbered sentences, and questions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.archehr.key import Key, check_key
from drehr_rag.eval.qa.faults import Faults
from drehr_rag.eval.qa.files import read_text
from drehr_rag.notes.readers._markup import MarkupError, parse_xml
from drehr_rag.types import Note


class CaseFault(ValueError):
    """Why one case cannot be used."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A numbered sentence, `note.text[start:end]`.

    Attributes:
        agrees: Whether `start_char_index` says the same; where it does not, its words decided.
    """

    sentence_id: str
    note_id: str
    start: int
    end: int
    agrees: bool = True


@dataclass(frozen=True)
class Case:
    """One patient's question with a note excerpt; `relevance` is None without a key."""

    case_id: str
    narrative: str = field(repr=False)
    clinician_question: str = field(repr=False)
    note: Note
    sentences: tuple[Sentence, ...]
    relevance: Mapping[str, str] | None = None

    def words(self, sentence: Sentence) -> str:
        """The sentence itself."""
        return self.note.text[sentence.start : sentence.end]


def read_cases(xml: str | Path, key: str | Path | None = None) -> list[Case]:
    """The cases of a file, with their sentences' relevance if the key is given.

    Raises:
        EvaluationError: It is no such file; or cases cannot be used, or do not fit the key: all
            are counted, with reasons.
    """
    try:
        root = parse_xml(read_text(xml))
    except MarkupError as problem:
        raise EvaluationError(f"{xml} is {problem}: is it archehr-qa.xml as published?") from None
    elements = root.findall("case")
    faults, cases = Faults(xml, "cases"), dict[str, Case]()
    for number, element in enumerate(elements, 1):
        case_id = (element.get("id") or "").strip()
        if not case_id or case_id in cases:
            faults.add("no id" if not case_id else "an id that stands twice", case_id or number)
            continue
        try:
            cases[case_id] = _case(case_id, element)
        except CaseFault as problem:
            faults.add(str(problem), case_id)
    if not elements:
        faults.add("no <case> in it", "the whole file")
    faults.refuse(len(elements), "Is it archehr-qa.xml as published?")
    if key is None:
        return list(cases.values())
    return _with_key(list(cases.values()), check_key(key, _sentence_ids(cases)))


def _sentence_ids(cases: Mapping[str, Case]) -> dict[str, list[str]]:
    return {name: [s.sentence_id for s in case.sentences] for name, case in cases.items()}


def _with_key(cases: list[Case], key: Key) -> list[Case]:
    return [
        Case(c.case_id, c.narrative, c.clinician_question, c.note, c.sentences, key[c.case_id])
        for c in cases
    ]


def _case(case_id: str, element: Element) -> Case:
    text = _text(element, "note_excerpt")
    name = f"case-{case_id}"
    note = Note(note_id=name, patient_id=name, note_type="Note excerpt", text=text)
    return Case(
        case_id,
        narrative=_text(element, "patient_narrative"),
        clinician_question=_text(element, "clinician_question"),
        note=note,
        sentences=_sentences(note, element),
    )


def _text(element: Element, name: str) -> str:
    found = element.find(name)
    text = "" if found is None else "".join(found.itertext()).strip()
    if not text:
        raise CaseFault(f"<{name}> is missing or empty")
    return text


def _sentences(note: Note, element: Element) -> tuple[Sentence, ...]:
    """The sentences, each found in the excerpt after the one before it.

    `start_char_index` counts from the start of the sentence's paragraph, whose place is not given:
    the paragraph's first sentence tells it.
    """
    found: dict[str, Sentence] = {}
    origins: dict[str | None, int] = {}
    at = 0
    for item in element.findall("note_excerpt_sentences/sentence"):
        name, index = (item.get("id") or "").strip(), item.get("start_char_index") or ""
        if not name or name in found or not index.isdecimal():
            raise CaseFault("a sentence without id, with another's id, or without start_char_index")
        paragraph = item.get("paragraph_id")
        told = origins[paragraph] + int(index) if paragraph in origins else None
        start, at = _located(note.text, "".join(item.itertext()).split(), at, told)
        origins.setdefault(paragraph, start - int(index))
        found[name] = Sentence(name, note.note_id, start, at, agrees=told in (None, start))
    if not found:
        raise CaseFault("<note_excerpt_sentences> is missing or empty")
    return tuple(found.values())


def _located(text: str, words: list[str], least: int, told: int | None) -> tuple[int, int]:
    """Where the words stand: where they are told to, or else next in the text."""
    if not words:
        raise CaseFault("a sentence without words")
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    match = pattern.match(text, told) if told is not None and told >= least else None
    match = match or pattern.search(text, least)
    if match is None:
        raise CaseFault("a sentence that does not stand in <note_excerpt>, after those before it")
    return match.span()
