"""`drehr-rag eval qa`: a chain over a set of questions, and what its answers are worth."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from drehr_rag.cli import _options as o
from drehr_rag.cli._show import print_json
from drehr_rag.cli.eval._chain import chain_of, missing_patients
from drehr_rag.cli.eval._options import bar
from drehr_rag.cli.eval._qa_table import show_report
from drehr_rag.errors import BadArgument, EvaluationError
from drehr_rag.eval.qa.files import write_json, write_whole
from drehr_rag.eval.qa.judge import judge
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply
from drehr_rag.eval.qa.report import judged, report
from drehr_rag.eval.qa.running import run
from drehr_rag.eval.qa.sets import open_set
from drehr_rag.eval.qa.tables import markdown
from drehr_rag.generators import load_generator
from drehr_rag.generators.extractive import READS
from drehr_rag.index import EhrIndex
from drehr_rag.qa import PASSAGES


def command(
    store: o.Store,
    questions: Annotated[
        str, typer.Option("--set", help="ward, or a file: JSON Lines, or CSV.", metavar="SET")
    ],
    out: Annotated[Path, typer.Option(help="Folder for answers, manifest and report.")],
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only the questions of this split."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Ask only the first so many; run again without it to ask the rest."),
    ] = None,
    notes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The notes, for scores by sentence and to check the set's evidence."),
    ] = None,
    column: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="For a set in CSV: FIELD=COLUMN; may be repeated."),
    ] = None,
    passages: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="How many passages are read: 8, or 24 where they are quoted."),
    ] = None,
    generator_url: o.GeneratorUrl = None,
    model: o.ModelName = None,
    judge_url: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="An OpenAI-compatible server whose model judges faithfulness."),
    ] = None,
    judge_model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The judge's name on that server, if it serves several."),
    ] = None,
    encoder: o.EncoderName = None,
    access: o.AccessOptions = None,
    json: o.Json = False,
) -> None:
    """Ask every question of a set, each in its patient's notes, and score what is answered.

    Killed and started again, it goes on where it stood. Answers in --out hold words of the notes.

    [bold]Example:[/bold] drehr-rag eval qa --store ./ehr.idx --set ward --split dev --out ./run
    """
    _check(limit, passages, (generator_url, model, ""), (judge_url, judge_model, "judge-"))
    chosen = open_set(questions, notes=notes, columns=o.pairs(column, "--column"), split=split)
    with EhrIndex.open(store, encoder=encoder, access=o.access_of(access), create=False) as index:
        missing = missing_patients(index, chosen.questions)
        read = passages or (PASSAGES if generator_url else READS)
        chain = chain_of(index, read, generator_url, model)
        with bar(json) as shown:
            task = shown.add_task("questions")
            replies = run(
                chain,
                chosen.questions,
                out,
                name=f"{chosen.name}, {split}" if split else chosen.name,
                command=shlex.join(sys.argv),
                limit=limit,
                progress=lambda done, all_, failed: shown.update(
                    task, completed=done, total=all_, description=f"questions, {failed} failed"
                ),
            )
    verdicts = _judge(chosen.questions, replies, out, judge_url, judge_model, quiet=json)
    found = report(chosen.questions, replies, folder=out, notes=chosen.notes, faithfulness=verdicts)
    found["account"]["patients_without_notes"] = missing
    write_json(out / "report.json", found)
    write_whole(out / "report.md", markdown(found))
    if json:
        print_json(found)
    else:
        show_report(found)
    if replies and all(reply.error for reply in replies):
        raise EvaluationError(f"every question failed ({replies[-1].error}): see {out}")


def _check(
    limit: int | None, passages: int | None, *servers: tuple[str | None, str | None, str]
) -> None:
    """What cannot be meant, before anything is read."""
    if limit is not None and limit < 1:
        raise BadArgument("--limit is a whole number from 1 up")
    if passages is not None and passages < 1:
        raise BadArgument("--passages is a whole number from 1 up")
    for url, model, who in servers:
        name = f"--{who or 'generator-'}url"
        if url is not None and not url.strip():
            raise BadArgument(f"{name} is empty: leave it out")
        if model is not None and url is None:
            raise BadArgument(f"--{who}model goes with {name}")


def _judge(
    questions: list[Question],
    replies: list[Reply],
    out: Path,
    url: str | None,
    model: str | None,
    *,
    quiet: bool,
) -> dict[str, Any] | None:
    if not url:
        return None
    generator: Any = load_generator("openai", url=url, model=model)
    with bar(quiet) as shown:
        task = shown.add_task("sentences judged")
        verdicts = judge(
            questions,
            replies,
            generator,
            model=generator.model,
            folder=out,
            progress=lambda done, all_: shown.update(task, completed=done, total=all_),
        )
    return judged(verdicts, generator.model)
