"""CliniQ (arXiv 2502.06252): entities against 1,000 discharge summaries of MIMIC-III.

The queries and judgments are public, the notes are not: the corpus is built here from the user's
own `NOTEEVENTS.csv` and CliniQ's list of admissions (PAPER.md section 2).
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from drehr_rag.errors import EvaluationError
from drehr_rag.eval._beir_files import facts, one_of, queries, rows
from drehr_rag.eval._files import opened, written
from drehr_rag.eval.qrels import read_qrels
from drehr_rag.eval.task import Judgment, Passage, Query, Task
from drehr_rag.notes.chunkers.words import WordChunker
from drehr_rag.types import Note

EXAMPLE = (
    "drehr-rag eval cliniq ./cliniq --encoder dr-ehr-small --option "
    "notes=NOTEEVENTS.csv.gz --option ids=ids.txt"
)

TYPES = ("disease", "procedure", "drug")
PUBLISHED = {"notes": 1_000, "chunks": 16_550, "queries": 1_246, "judgments": 77_206}
"""Sizes that the paper states (PAPER.md section 2)."""

CATEGORY = "Discharge summary"


def load(
    place: Path, *, notes: str | None = None, ids: str | None = None, sizes: str = "published"
) -> Task:
    """Read CliniQ's folder; build `corpus.jsonl` in it first if `notes` and `ids` are given.

    Args:
        place: Holds `queries_*.jsonl` and `qrels_*.tsv` of the three types, and `corpus.jsonl`.
        notes: MIMIC-III's `NOTEEVENTS.csv`, plain or gzipped.
        ids: The admissions (HADM_ID) of CliniQ's notes: one a line, or a JSON list.
        sizes: `published`: other sizes than the paper's are refused; `any`: they are not.

    Raises:
        EvaluationError: A file is missing, damaged, of MIMIC-IV, or of another size.
    """
    if sizes not in ("published", "any"):
        raise EvaluationError(f"sizes are published or any, not {sizes!r}")
    if (notes is None) != (ids is None):
        raise EvaluationError("a corpus is built from both: notes (NOTEEVENTS.csv) and ids")
    if notes is not None and ids is not None:
        build_corpus(Path(notes), Path(ids), place / "corpus.jsonl", sizes=sizes)
    corpus = one_of(place, "corpus.jsonl")
    passages = {key: Passage(row["text"], note_of(key)) for key, row in rows(corpus)}
    _check({"notes": len({p.note_id for p in passages.values()}), "chunks": len(passages)}, sizes)
    asked = [one_of(place, f"queries_{kind}.jsonl") for kind in TYPES]
    tables = [one_of(place, f"qrels_{kind}.tsv") for kind in TYPES]
    found: dict[str, Query] = {}
    qrels: dict[str, dict[str, Judgment]] = {}
    count = 0
    for kind, query_file, table in zip(TYPES, asked, tables, strict=True):
        some = queries(query_file, type=kind)
        if both := found.keys() & some.keys():
            raise EvaluationError(
                f"{query_file}: {len(both)} ids are of another type's queries too"
            )
        judged = read_qrels(table)
        count += sum(map(len, judged.values()))
        found |= some
        qrels |= _by_text(some, judged, table)
    _check({"queries": len(found), "judgments": count}, sizes)
    data = facts(place, corpus, *asked, *tables, sizes=sizes)
    return Task("cliniq", passages, found, qrels, facts=data)


def note_of(chunk_id: str) -> str:
    """The admission of a chunk `<hadm_id>_<i>`.

    Raises:
        EvaluationError: The id is of another form.
    """
    note, underscore, number = chunk_id.rpartition("_")
    if not underscore or not note or not number.isdecimal():
        raise EvaluationError(f"the chunk {chunk_id!r} is not named <hadm_id>_<i>")
    return note


def build_corpus(notes: Path, ids: Path, target: Path, *, sizes: str = "published") -> None:
    """Write CliniQ's chunks: the first discharge summary of each admission, 100 words, 10 shared.

    Raises:
        EvaluationError: See `load`; and a summary of an admission is not there.
    """
    wanted = dict.fromkeys(_admissions(ids))
    if not wanted:
        raise EvaluationError(f"{ids} names no admission")
    texts = _summaries(notes, set(wanted))
    missing = [admission for admission in wanted if admission not in texts]
    if missing:
        raise EvaluationError(
            f"{notes}: {len(missing):,} of {len(wanted):,} admissions have no discharge summary, "
            f"e.g. HADM_ID {missing[0]}: the demo, an extract, or another list?"
        )
    chunker = WordChunker(cleaning="cliniq")
    lines = []
    for admission in wanted:
        note = Note(note_id=admission, patient_id=admission, text=texts[admission])
        for number, chunk in enumerate(chunker.split([note])[0]):
            lines.append(json.dumps({"_id": f"{admission}_{number}", "text": chunk.text}))
    _check({"notes": len(wanted), "chunks": len(lines)}, sizes)
    text = "".join(line + "\n" for line in lines)
    if target.exists():
        with opened(target) as stream:
            if stream.read() == text:
                return
        raise EvaluationError(
            f"{target} is there and holds another corpus: remove it to build this one, or leave "
            "out notes and ids"
        )
    with written(target) as stream:
        stream.write(text)


def _check(found: dict[str, int], sizes: str) -> None:
    wrong = {name: size for name, size in found.items() if size != PUBLISHED[name]}
    if wrong and sizes == "published":
        said = ", ".join(
            f"{size:,} {name}, not {PUBLISHED[name]:,}" for name, size in wrong.items()
        )
        raise EvaluationError(
            f"this is not CliniQ as published: {said}. Another list, version or chunking? For a "
            "benchmark of your own in CliniQ's format: sizes=any"
        )


def _by_text(
    queries: dict[str, Query], judged: dict[str, dict[str, Judgment]], table: Path
) -> dict[str, dict[str, Judgment]]:
    """Judgments hold for every query of the same text and type."""
    foreign = [query for query in judged if query not in queries]
    if foreign:
        raise EvaluationError(
            f"{table}: {len(foreign):,} of {len(judged):,} judged queries are not among this "
            f"type's {len(queries):,}, e.g. {foreign[0]!r}"
        )
    shared: dict[str, dict[str, Judgment]] = {}
    for query, some in judged.items():
        shared.setdefault(queries[query].text, {}).update(some)
    return {q: shared[one.text] for q, one in queries.items() if one.text in shared}


def _admissions(file: Path) -> Iterator[str]:
    with opened(file) as stream:
        text = stream.read().strip()
    try:
        values = json.loads(text) if text.startswith("[") else text.split()
    except ValueError:
        raise EvaluationError(f"{file} is broken JSON") from None
    for value in values:
        admission = str(value).removesuffix(".0")
        if not admission.isdecimal():
            raise EvaluationError(f"{file}: {admission!r} is no HADM_ID: one number a line")
        yield admission


def _summaries(file: Path, wanted: set[str]) -> dict[str, str]:
    """The first discharge summary of each admission, error rows and addenda not told apart."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    texts: dict[str, str] = {}
    with opened(file) as stream:
        table = csv.DictReader(stream, strict=True)
        header = {name.strip().upper() for name in table.fieldnames or ()}
        if {"NOTE_ID", "NOTE_TYPE"} & header:
            raise EvaluationError(
                f"{file} is of MIMIC-IV; CliniQ is made of MIMIC-III's NOTEEVENTS"
            )
        if absent := {"HADM_ID", "CATEGORY", "TEXT"} - header:
            raise EvaluationError(
                f"{file} has no column {', '.join(sorted(absent))}: not NOTEEVENTS"
            )
        try:
            for row in table:
                cells = {(name or "").strip().upper(): value or "" for name, value in row.items()}
                admission = cells["HADM_ID"].strip().removesuffix(".0")
                if cells["CATEGORY"].strip() == CATEGORY and admission in wanted:
                    texts.setdefault(admission, cells["TEXT"])
        except csv.Error as problem:
            raise EvaluationError(f"{file}:{table.line_num}: broken CSV: {problem}") from None
    return texts
