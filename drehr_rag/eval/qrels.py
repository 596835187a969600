"""Judgments, `{query: {chunk: Judgment}}`: read and written in TREC's form, BEIR's and ours."""

from collections.abc import Iterator
from pathlib import Path

from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import opened, written
from drehr_rag.eval.task import Judgment, Qrels

HEADER = ("query-id", "corpus-id")
"""How a table in BEIR's form begins; then `score`, or `match` in the development sets."""

MATCHES = ("string", "synonym", "abbreviation", "hyponym", "implication")
"""CliniQ's match types (PAPER.md section 2)."""


def read_qrels(path: str | Path) -> dict[str, dict[str, Judgment]]:
    """Judgments, plain or gzipped, in one of four forms.

    - TREC: `query 0 chunk grade`, separated by white space;
    - BEIR: tab-separated under a header `query-id corpus-id score`;
    - the development sets: under a header `query-id corpus-id match`, also with `score`;
    - CliniQ: `query chunk match`, tab-separated, no header.

    Raises:
        EvaluationError: It cannot be read, holds no judgment, or judges a pair twice.
    """
    file = Path(path)
    qrels: dict[str, dict[str, Judgment]] = {}
    names: dict[str, str] = {}
    twice = 0
    for query, chunk, judgment in _rows(file):
        judged = qrels.setdefault(query, {})
        twice += chunk in judged
        judged[names.setdefault(chunk, chunk)] = judgment
    if twice:
        raise EvaluationError(f"{file}: {twice:,} pairs of query and chunk are judged twice")
    if not qrels:
        raise EvaluationError(f"{file} holds no judgment")
    return qrels


def write_qrels(qrels: Qrels, path: str | Path) -> None:
    """Write judgments in BEIR's form, with a fourth column `match` if any has a match type.

    A name that ends in `.trec` or `.trec.gz` gets TREC's form, which has no match types.
    """
    file = Path(path)
    matched = any(one.match for judged in qrels.values() for one in judged.values())
    with written(file) as stream:
        if ".trec" in file.suffixes:
            for query, chunk, one in _flat(qrels):
                stream.write(f"{query} 0 {chunk} {one.grade}\n")
            return
        stream.write("\t".join((*HEADER, "score", *(["match"] if matched else []))) + "\n")
        for query, chunk, one in _flat(qrels):
            cells = [query, chunk, str(one.grade), *([one.match or ""] if matched else [])]
            stream.write("\t".join(cells) + "\n")


def _flat(qrels: Qrels) -> Iterator[tuple[str, str, Judgment]]:
    for query, judged in qrels.items():
        yield from ((query, chunk, one) for chunk, one in judged.items())


def _rows(file: Path) -> Iterator[tuple[str, str, Judgment]]:
    columns: list[str] = []
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            cells = line.rstrip("\r\n").split("\t")
            if number == 1 and tuple(cells[:2]) == HEADER:
                columns = cells
                continue
            if line.strip():
                try:
                    yield _row(cells, line.split(), columns)
                except ValueError as problem:
                    raise EvaluationError(f"{file}:{number}: {problem}") from None


def _row(cells: list[str], words: list[str], columns: list[str]) -> tuple[str, str, Judgment]:
    if columns:
        if len(cells) != len(columns):
            raise ValueError(f"{len(cells)} columns, where the header has {len(columns)}")
        row = dict(zip(columns, cells, strict=True))
        match = row.get("match") or None
        return row[HEADER[0]], row[HEADER[1]], Judgment(_grade(row.get("score", "1")), match)
    if len(cells) == 3 and cells[2] in MATCHES:
        return cells[0], cells[1], Judgment(match=cells[2])
    if len(words) == 4:
        return words[0], words[2], Judgment(_grade(words[3]))
    raise ValueError(
        "neither TREC's form (query 0 chunk grade), nor CliniQ's (query, chunk, match type), nor "
        "under a header query-id, corpus-id, score"
    )


def _grade(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the grade {text!r} is no whole number") from None
