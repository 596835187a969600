"""`archehr-qa_key.json`: how relevant each numbered sentence of each case is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.faults import Faults
from drehr_rag.eval.qa.files import read_json

LABELS = ("essential", "supplementary", "not-relevant")

Key = Mapping[str, Mapping[str, str]]
"""Case id → sentence id → label."""


def check_key(path: str | Path, sentences: Mapping[str, Sequence[str]]) -> Key:
    """The key of these cases.

    Args:
        path: The JSON file.
        sentences: Case id to the ids of its sentences.

    Raises:
        EvaluationError: It is no key, or does not label exactly these sentences.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise EvaluationError(f"{path} is no list of cases: is it archehr-qa_key.json?")
    faults, key = Faults(path, "cases"), dict[str, dict[str, str]]()
    for number, row in enumerate(rows, 1):
        name = str(row.get("case_id", "")).strip() if isinstance(row, dict) else ""
        if not name or name in key:
            faults.add("no case_id" if not name else "a case that stands twice", name or number)
            continue
        key[name] = _labels(row.get("answers"))
        for reason in _wrong(row, key[name], sentences.get(name)):
            faults.add(reason, name)
    for name in sentences.keys() - key.keys():
        faults.add("a case of the XML that the key does not have", name)
    faults.refuse(len(rows), "Give the XML and the key of one release, and of the same set")
    return key


def _labels(answers: Any) -> dict[str, str]:
    rows = answers if isinstance(answers, list) else []
    rows = [row for row in rows if isinstance(row, dict)]
    return {str(row.get("sentence_id", "")): str(row.get("relevance", "")) for row in rows}


def _wrong(row: Any, labels: Mapping[str, str], known: Sequence[str] | None) -> list[str]:
    if known is None:
        return ["a case that the XML does not have"]
    answers = row.get("answers")
    twice = not isinstance(answers, list) or len(answers) != len(labels)
    found = ["answers that are no list of sentences, each once"] if twice else []
    if labels.keys() - set(known):
        found.append("a sentence that the XML does not have")
    if set(known) - labels.keys():
        found.append("a sentence without a label")
    if set(labels.values()) - set(LABELS):
        found.append(f"a label other than {', '.join(LABELS)}")
    return found
