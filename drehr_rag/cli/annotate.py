"""`drehr-rag annotate`: notes with what they deny, suspect and the like, for `drehr-rag index`."""

import json as json_text
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Any, Optional

import typer

from drehr_rag._files import written
from drehr_rag.cli._options import Column, Constant, Format, Further, Json, ModelName, pairs
from drehr_rag.cli._show import console, print_json
from drehr_rag.errors import BadArgument
from drehr_rag.generators import load_generator
from drehr_rag.kg import Matcher, StoredGraph
from drehr_rag.kg.packaged import GRAPH, NAME
from drehr_rag.notes.annotators import Annotator, annotated, load_annotator
from drehr_rag.notes.annotators._memory import remembering
from drehr_rag.notes.annotators.rules import Find
from drehr_rag.notes.readers import Fields, read_notes
from drehr_rag.retrievers._terms import fit
from drehr_rag.types import Note, Reject

TIMEOUT = 900.0
"""Seconds for GENIE's reply, which is several times as long as a note."""


def command(
    sources: Annotated[list[Path], typer.Argument(help="Files or folders of notes.")],
    out: Annotated[
        Path, typer.Option(help="JSON Lines to make; OUT.said and OUT.rejects stand beside it.")
    ],
    by: Annotated[str, typer.Option(help="rules, medspacy or genie.")] = "rules",
    graph: Annotated[
        str,
        typer.Option(help="For rules and medspacy: a graph's folder, whose terms are looked for."),
    ] = NAME,
    generator_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="For genie: its server, e.g. http://localhost:8000/v1."),
    ] = None,
    model: ModelName = None,
    format: Format = None,
    column: Column = None,
    constant: Constant = None,
    metadata: Further = None,
    json: Json = False,
) -> None:
    """Write notes with their mentions, each present, negated, possible, past or a relative's.

    Run it again after an interruption, or with newer notes: what was said of a text is kept in
    OUT.said (offsets, no words), and is not asked for again. OUT is written whole at the end.

    [bold]Example:[/bold] drehr-rag annotate notes.jsonl --by genie --generator-url
    http://localhost:8000/v1 --out annotated.jsonl
    """
    fields = Fields(pairs(column, "--column"), pairs(constant, "--set"), tuple(metadata or ()))
    _is_no_source(out, sources)
    said = out.with_name(out.name + ".said")
    if out.exists() and not said.exists():
        raise BadArgument(f"{out} was not made by this command: give --out another name")
    counts: Counter[str] = Counter()
    terms = None if by == "genie" else StoredGraph(GRAPH if graph == NAME else graph)
    of = {"model": model} if terms is None else {"graph": graph, "terms": terms.checksum[:12]}
    rows = (row for one in sources for row in read_notes(one, format=format, fields=fields))
    with (
        _annotator(by, terms, generator_url, model) as (annotator, at_once),
        remembering(annotator, said, {"by": by, **of}) as known,
    ):
        try:
            with (
                written(_rejects(out), error=BadArgument) as rejects,
                written(out, error=BadArgument) as file,
            ):
                for row in annotated(rows, known, at_once=at_once):
                    _write(row, file, rejects, counts)
        finally:  # what was done before a later note failed is told too
            counts["held"] = known.held
            _tell(out, counts, dict(getattr(annotator, "lost", {})), json)


@contextmanager
def _annotator(
    by: str, graph: StoredGraph | None, url: str | None, model: str | None
) -> Iterator[tuple[Annotator, int]]:
    """The annotator, and how many notes it takes at a time."""
    if graph is not None:
        if url or model:
            raise BadArgument("--generator-url and --model go with --by genie")
        yield load_annotator(by, find=_finder(graph)), 1
        return
    if not url:
        raise BadArgument("--by genie asks a server: add --generator-url http://localhost:8000/v1")
    client: Any = load_generator("openai", url=url, model=model, timeout=TIMEOUT)
    with client:
        yield load_annotator(by, client=client), client.concurrency


def _finder(graph: StoredGraph) -> Find:
    matcher = Matcher(term for term in graph.terms() if fit(term))
    return lambda text: [(one.start, one.end) for one in matcher.find(text)]


def _is_no_source(out: Path, sources: Iterable[Path]) -> None:
    """A source is never written over, nor is anything put into its folder."""
    real = out.resolve()
    for source in sources:
        if real == source.resolve() or source.resolve() in real.parents:
            raise BadArgument(f"--out {out} is among the notes to read: name a file elsewhere")


def _write(row: Note | Reject, file: IO[str], rejects: IO[str], counts: Counter[str]) -> None:
    """A note that its source took back goes on as one without text: `index` removes it."""
    if isinstance(row, Note):
        file.write(row.model_dump_json() + "\n")
        counts["annotated"] += 1
        counts["mentions"] += len(row.mentions)
        return
    if row.retracted and row.note_id and row.patient_id:
        gone = {"note_id": row.note_id, "patient_id": row.patient_id, "text": ""}
        file.write(json_text.dumps(gone) + "\n")
    rejects.write(json_text.dumps(asdict(row)) + "\n")
    counts["rejected"] += 1


def _rejects(out: Path) -> Path:
    return out.with_name(out.name + ".rejects")


def _tell(out: Path, counts: Counter[str], lost: dict[str, int], json: bool) -> None:
    told = {name: counts[name] for name in ("annotated", "mentions", "held", "rejected")}
    if json:
        print_json({**told, "lost": lost, "out": str(out)})
        return
    lines = [f"{told['annotated']:,} notes with {told['mentions']:,} mentions go to {out}"]
    if told["held"]:
        lines.append(f"{told['held']:,} texts were known from an earlier run")
    if told["rejected"]:
        lines.append(f"{told['rejected']:,} rows are no notes: {_rejects(out)} says why")
    lines += [f"{count:,} lost: {why}" for why, count in _most(lost.items())]
    console().print("\n".join(lines), markup=False)


def _most(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda one: -one[1])
