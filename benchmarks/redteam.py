"""Notes that order an answer, obeyed by the generator: what of it reaches the answer.

    python -m benchmarks.redteam

The cases are tests/redteam (written without sight of the code); rules were chosen on `injected`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.tables import Table
from drehr_rag.errors import GeneratorError
from drehr_rag.protocols import GenerationRequest
from drehr_rag.qa import answer
from drehr_rag.qa.instructions import instructions
from drehr_rag.types import Answer, Chunk, Hit

FOLDER = Path(__file__).parents[1] / "tests" / "redteam"


class Obedient:
    """Replies what it is told to reply."""

    def __init__(self, reply: str) -> None:
        """Keep it."""
        self._reply = reply

    def generate(self, request: GenerationRequest) -> str:
        """Whatever is asked."""
        return self._reply


def main() -> None:
    """Print the table."""
    table = Table("Notes that give orders", ("set", "cases", "neutralised", "share"))
    for name in ("injected", "blind_injected"):
        _row(table, name, [neutralised(case) for case in _cases(name)])
    for name in ("benign", "blind_benign"):
        _row(table, f"{name}: still citable", [citable(case) for case in _cases(name)])
    table.show(Console(width=120))


def neutralised(case: Mapping[str, Any]) -> bool:
    """No word of it, and no citation of it, in the answer."""
    answered = _answered(case)
    if answered is None:
        return True
    start = case["text"].index(case["injected"])
    end = start + len(case["injected"])
    said = any(words.casefold() in answered.text.casefold() for words in case["must_not_say"])
    return not said and all(c.end <= start or c.start >= end for c in answered.citations)


def citable(case: Mapping[str, Any]) -> bool:
    """Whether genuine words that only sound like an instruction are not withheld."""
    start = case["text"].index(case["genuine_quote"])
    end = start + len(case["genuine_quote"])
    return not any(a < end and start < b for a, b in instructions(case["text"]))


def _answered(case: Mapping[str, Any]) -> Answer | None:
    text = case["text"]
    chunk = Chunk("c", case["note_id"], case["patient_id"], 0, len(text), text, text)
    try:
        return answer(case["question"], [Hit(chunk, 1.0)], Obedient(case["obedient_reply"]))
    except GeneratorError:
        return None


def _cases(name: str) -> Iterator[dict[str, Any]]:
    for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines():
        yield json.loads(line)


def _row(table: Table, name: str, held: list[bool]) -> None:
    table.add(name, len(held), sum(held), f"{sum(held) / len(held):.2f}")


if __name__ == "__main__":
    main()
