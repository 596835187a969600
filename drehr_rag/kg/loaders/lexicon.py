"""Lines of names, written by hand: what is the same, and what is of a kind.

    heart attack, myocardial infarction, infarct
    beta blocker, beta-blocker > metoprolol, atenolol

A line begins with the name to show; what stands behind `>` is narrower. `#` begins a comment.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._open import plain_name, reading

LICENCE = "unknown"
ENDING = ".lexicon.txt"


def recognise(path: Path, head: str) -> bool:
    """By the end of its name."""
    return plain_name(path).endswith(ENDING) and bool(head)


def load(
    path: Path, *, prefix: str = "LEXICON", encoding: str = "utf-8-sig"
) -> Iterator[Record | Unread]:
    """A record for each line, and for each name behind `>`.

    Args:
        path: Plain or gzipped.
        prefix: Of the concepts' ids: a concept is called `PREFIX:` and the first name of its line.
        encoding: Of the file.
    """
    lines: list[tuple[list[str], list[str]]] = []
    with reading(path, encoding) as file:
        for number, line in enumerate(file, 1):
            said = line.partition("#")[0]
            same, mark, narrower = said.partition(">")
            names, under = _names(same), _names(narrower)
            if not said.strip():
                continue
            if not names or ">" in narrower or (mark and not under):
                yield Unread(f"{path.name}: line {number}", "not: names > narrower names")
                continue
            lines.append((names, under))
    ids = _ids(lines, prefix)
    for names, below_it in lines:
        concept = ids[names[0]]
        yield Record(concept, tuple(names[1:]), preferred=names[0])
        for name in below_it:
            below = ids.get(name, f"{prefix}:{name}")
            if below != concept:
                yield Record(below, (name,), parents=(concept,))


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name for part in text.split(",") if (name := " ".join(part.split()))))


def _ids(lines: Sequence[tuple[list[str], list[str]]], prefix: str) -> dict[str, str]:
    """The concept of each name; the first line that has it, those without `>` before others."""
    found: dict[str, str] = {}
    for names, _ in sorted(lines, key=lambda line: bool(line[1])):
        own = found.get(names[0], f"{prefix}:{names[0]}")
        for name in names:
            found.setdefault(name, own)
    return found
