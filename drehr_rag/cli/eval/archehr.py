"""`drehr-rag eval archehr`: ArchEHR-QA 2025 in, submissions out, and their scores."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from drehr_rag.cli import _options as o
from drehr_rag.cli._show import console, print_json
from drehr_rag.errors import BadArgument
from drehr_rag.eval.qa.archehr.cases import Case, read_cases
from drehr_rag.eval.qa.archehr.questions import Asked, questions_of
from drehr_rag.eval.qa.archehr.scoring import Scores, score
from drehr_rag.eval.qa.archehr.submission import read_submission, write_submission
from drehr_rag.eval.qa.files import write_whole
from drehr_rag.eval.qa.jsonl import write_questions
from drehr_rag.eval.qa.running import read_replies
from drehr_rag.eval.qa.tables import number

app = typer.Typer(
    no_args_is_help=True, help="ArchEHR-QA 2025: read cases, write submissions, score them."
)

Cases = Annotated[Path, typer.Option(help="archehr-qa.xml, as published.", metavar="XML")]
Key = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="archehr-qa_key.json, as published.", metavar="JSON"),
]


@app.command()
def convert(
    cases: Cases,
    questions: Annotated[Path, typer.Option(help="Where the questions go (JSON Lines).")],
    notes: Annotated[Path, typer.Option(help="Where the note excerpts go (JSON Lines).")],
    key: Key = None,
    asked: Annotated[
        str, typer.Option(help="clinician: the short question; patient: the whole narrative.")
    ] = "clinician",
) -> None:
    """Write the cases as questions for eval qa, and their note excerpts as notes to index.

    [bold]Example:[/bold] drehr-rag eval archehr convert --cases archehr-qa.xml
    --key archehr-qa_key.json --questions questions.jsonl --notes excerpts.jsonl
    """
    if asked not in get_args(Asked):
        raise BadArgument(f"--asked is clinician or patient, not {asked!r}")
    found = _cases(cases, key)
    asked_questions, excerpts = questions_of(found, asked=cast(Asked, asked))
    write_questions(questions, asked_questions)
    write_whole(notes, "".join(note.model_dump_json() + "\n" for note in excerpts))
    evidence = sum(len(question.evidence or ()) for question in asked_questions)
    known = f"{evidence} sentences of evidence" if key else "no key, so no evidence"
    console().print(f"{len(found)} cases, {known}: {questions}, {notes}")


@app.command()
def submission(
    answers: Annotated[Path, typer.Option(help="answers.jsonl in the folder of a run.")],
    cases: Cases,
    out: Annotated[Path, typer.Option(help="Where the submission goes (JSON).")],
) -> None:
    """Write a run's answers as a submission: each sentence with the numbers of those it cites.

    [bold]Example:[/bold] drehr-rag eval archehr submission --answers run/answers.jsonl
    --cases archehr-qa.xml --out submission.json
    """
    if not answers.exists():
        raise BadArgument(f"there is no file {answers}: eval qa --out makes it")
    found = _cases(cases, None)
    without = write_submission(out, found, read_replies(answers))
    console().print(f"{len(found)} cases: {out}")
    if without:
        Console(stderr=True, soft_wrap=True).print(
            f"{without} of {len(found)} cases cite nothing: the shared task's scorer refuses that"
        )


@app.command("score")
def score_command(
    submission: Annotated[Path, typer.Argument(help="The submission (JSON).")],
    cases: Cases,
    key: Annotated[Path, typer.Option(help="archehr-qa_key.json, as published.")],
    json: o.Json = False,
) -> None:
    """Score a submission: citations strict and lenient, ROUGE-L against the essential sentences.

    [bold]Example:[/bold] drehr-rag eval archehr score submission.json --cases archehr-qa.xml
    --key archehr-qa_key.json
    """
    found = _cases(cases, key)
    scores = score(read_submission(submission, [case.case_id for case in found]), found)
    if json:
        print_json(scores.record())
    else:
        console().print(_table(scores))


def _cases(path: Path, key: Path | None) -> list[Case]:
    found = read_cases(path, key)
    every = [sentence for case in found for sentence in case.sentences]
    if wrong := sum(not sentence.agrees for sentence in every):
        Console(stderr=True, soft_wrap=True).print(
            f"{wrong} of {len(every)} sentences stand elsewhere than start_char_index says: "
            "they were found by their words"
        )
    return found


def _table(scores: Scores) -> Table:
    table = Table("citations", "precision", "recall", "F1", title=f"{scores.cases} cases")
    for variant, found in (("strict", scores.strict), ("lenient", scores.lenient)):
        for kind, prefix in (("micro", ""), ("macro", "macro_")):
            names = ("precision", "recall", "f1")
            table.add_row(f"{variant}, {kind}", *(number(found[prefix + n]) for n in names))
    table.add_section()
    table.add_row("ROUGE-L", "", "", number(scores.rouge_l))
    faults = [f"{count} {name.replace('_', ' ')}" for name, count in asdict(scores.faults).items()]
    table.caption = ", ".join(faults)
    for column in table.columns[1:]:
        column.justify = "right"
    return table
