"""Options that several commands share: store, scope, filters."""

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from drehr_rag.errors import BadArgument, ScopeRequired
from drehr_rag.index import EhrIndex
from drehr_rag.stores import Access, Layout
from drehr_rag.types import AllPatients, Cohort, Encounter, Patient, Scope

Store = Annotated[
    str, typer.Option("--store", help="Folder, or http://host:6333/collection.", metavar="PLACE")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
EncoderName = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--encoder",
        help="offline, dr-ehr-small, dr-ehr-small:FOLDER, or any sentence-transformers model. "
        "A store remembers its own; name it again if its folder has moved.",
    ),
]

AccessOptions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--access",
        help="How the store is talked to: exact=true, grpc=true, timeout=120, ca_file=FILE, …; "
        "may be repeated.",
        metavar="OPTION=VALUE",
    ),
]
LayoutOptions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--layout",
        help="How a new store keeps its vectors: precision=float16, quantisation=int8, "
        "on_disk=true, shards=6, replicas=2, …; may be repeated.",
        metavar="OPTION=VALUE",
    ),
]
GeneratorUrl = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--generator-url",
        help="An OpenAI-compatible server, e.g. http://localhost:8000/v1; without it the notes are "
        "quoted.",
    ),
]
ModelName = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--model", help="The model's name on that server, if it serves several."),
]
Format = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="jsonl, csv, text, mimic3, mimic4 or fhir; recognised if not given."),
]
Column = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="FIELD=COLUMN, e.g. patient_id=subject_id; may be repeated."),
]
Constant = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="FIELD=VALUE for every note, e.g. note_type=Report."),
]
Further = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--metadata", help="Further column to keep with each note; may be repeated."),
]
PatientId = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--patient", help="Search this patient's notes.", metavar="ID"),
]
EncounterId = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--encounter", help="With --patient: only this stay.", metavar="ID"),
]
CohortFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--cohort", help="Search these patients: a file, one id a line.", metavar="FILE"),
]
Everybody = Annotated[
    bool, typer.Option("--all-patients", help="Search everybody's notes; needs --reason.")
]
Reason = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--reason", help="Why everybody's notes are searched.", metavar="TEXT"),
]
NoteTypes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--note-type", help="Only this type of note; may be repeated."),
]
Sections = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--section", help='Only under this heading ("PMH"); may be repeated.'),
]
Since = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--since", help="Only notes from this date on.", metavar="DATE"),
]
Until = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--until", help="Only notes up to this date.", metavar="DATE"),
]


def scope_of(
    patient: str | None,
    encounter: str | None,
    cohort: Path | None,
    everybody: bool,
    reason: str | None,
) -> Scope:
    """The one scope that was asked for.

    Raises:
        ScopeRequired: None was, or more than one.
        BadArgument: The cohort's file cannot be read.
    """
    if sum((patient is not None, cohort is not None, everybody)) != 1:
        raise ScopeRequired(
            "say whose notes to search, once: --patient ID [--encounter ID], --cohort FILE, or "
            '--all-patients --reason "trial screening"'
        )
    if encounter is not None and patient is None:
        raise ScopeRequired("an encounter is named with its patient: --patient ID --encounter ID")
    if reason is not None and not everybody:
        raise BadArgument("--reason goes with --all-patients")
    if patient is not None:
        return Patient(patient) if encounter is None else Encounter(patient, encounter)
    if cohort is not None:
        return Cohort(_ids(cohort))
    if not (reason or "").strip():
        raise ScopeRequired('--all-patients needs --reason, e.g. --reason "trial screening"')
    return AllPatients(reason or "")


def access_of(options: list[str] | None) -> Access | None:
    """`--access`; a key would stay in the shell's history, so it comes from the environment.

    Raises:
        BadArgument: There is no such option, or its value cannot be meant.
    """
    given: dict[str, Any] = dict(pairs(options, "--access"))
    if "api_key" in given:
        raise BadArgument("set QDRANT_API_KEY in the environment instead of --access api_key=…")
    return Access(**given) if given else None


def layout_of(options: list[str] | None) -> Layout | None:
    """`--layout`; `none` leaves an option out, as in `quantisation=none`.

    Raises:
        BadArgument: There is no such option, or its value cannot be meant.
    """
    given: dict[str, Any] = {
        name: None if value == "none" else value
        for name, value in pairs(options, "--layout").items()
    }
    return Layout(**given) if given else None


def warn_unknown(index: EhrIndex, scope: Scope) -> None:
    """Say on stderr how many patients of a scope have no note here: an id may be misspelt."""
    asked = {scope.patient_id} if isinstance(scope, Patient | Encounter) else set()
    asked = set(scope.patient_ids) if isinstance(scope, Cohort) else asked
    if isinstance(scope, Cohort) and not asked:
        Console(stderr=True).print("the cohort is empty: nothing is searched")
    elif asked:
        there = index.facets("patient_id", scope=Cohort(asked))
        if missing := len(asked) - len(there):
            Console(stderr=True).print(f"{missing} of {len(asked)} patients have no note here")


def _ids(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadArgument(f"cannot read the cohort {path}: {type(problem).__name__}") from None
    if text.startswith("["):
        try:
            return list(json.loads(text))
        except ValueError:
            raise BadArgument(f"the cohort {path} is broken JSON") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def pairs(values: list[str] | None, option: str) -> dict[str, str]:
    """`["a=b"]` as `{"a": "b"}`.

    Raises:
        BadArgument: One has no equals sign.
    """
    found = {}
    for value in values or []:
        name, equals, content = value.partition("=")
        if not equals or not name or not content:
            raise BadArgument(f"{option} takes FIELD=VALUE, not {value!r}")
        found[name] = content
    return found
