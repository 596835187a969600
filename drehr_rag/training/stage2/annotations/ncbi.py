"""NCBI disease corpus (PubTator): abstracts with disease mentions, linked to MeSH or OMIM."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from drehr_rag._files import opened
from drehr_rag.errors import TrainingError
from drehr_rag.training.stage2.annotations import note_of
from drehr_rag.training.stage2.annotations._labels import Label, LabelledNote
from drehr_rag.types import Reject

LICENCE = "public domain (US government)"

_TEXT = re.compile(r"(\d+)\|([ta])\|(.*)")
_MESH = re.compile(r"[CD]\d+")
_OMIM = re.compile(r"\d{6}")
CELLS = 6


def read(place: Path) -> Iterator[LabelledNote | Reject]:
    """Each abstract, its title before it; a mention goes to the chunks that hold it.

    Args:
        place: `NCBI*set_corpus.txt`, plain or gzipped. Notes are called `ncbi-<PMID>`.

    Raises:
        TrainingError: The file cannot be read.
    """
    count = 0
    with opened(place, error=TrainingError) as stream:
        block: list[str] = []
        for number, line in enumerate([*stream, "\n"], 1):
            if line.strip():
                block.append(line.rstrip("\r\n"))
            elif block:
                count += 1
                yield _abstract(block, str(place), number - len(block))
                block = []
    if not count:
        raise TrainingError(f"{place} holds no abstract")


def _abstract(block: list[str], file: str, number: int) -> LabelledNote | Reject:
    texts = {match[2]: match for line in block[:2] if (match := _TEXT.fullmatch(line))}
    if texts.keys() != {"t", "a"}:
        return Reject(file, number, "an abstract without its lines |t| and |a|")
    text = f"{texts['t'][3]} {texts['a'][3]}"
    labels, left_out = [], Counter[str]()
    for line in block[2:]:
        cells = line.split("\t")
        label = _label(cells, text) if len(cells) == CELLS else None
        if label is None:
            left_out["offsets that do not hold its words"] += 1
        else:
            labels.append(label)
    return LabelledNote(note_of(f"ncbi-{texts['t'][1]}", text), tuple(labels), left_out)


def _label(cells: list[str], text: str) -> Label | None:
    _, start, end, words, _, concept = cells
    if not (start.isdecimal() and end.isdecimal() and text[int(start) : int(end)] == words):
        return None
    return Label(words, _id(concept.strip()), "span", int(start), int(end))


def _id(concept: str) -> str | None:
    """With its prefix, as in the knowledge graphs; None for several concepts at once."""
    if _MESH.fullmatch(concept):
        return f"MESH:{concept}"
    number = concept.removeprefix("OMIM:")
    return f"OMIM:{number}" if _OMIM.fullmatch(number) else None
