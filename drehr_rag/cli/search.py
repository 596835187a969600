"""`drehr-rag search`: the passages that fit a query."""

from pathlib import Path
from typing import Annotated, Optional, cast

import typer
from rich.text import Text

from drehr_rag.cli import _options as o
from drehr_rag.cli._explain import explained
from drehr_rag.cli._show import (
    by_terms,
    console,
    group_record,
    hit_record,
    print_json,
    show_hits,
)
from drehr_rag.errors import BadArgument
from drehr_rag.index import EhrIndex
from drehr_rag.kg.packaged import NAME as PACKAGED
from drehr_rag.retrievers._asserted import checked_assertion
from drehr_rag.types import AssertionMode, SearchMode


def command(
    query: Annotated[str, typer.Argument(help="A clinical entity or a few words.")],
    store: o.Store,
    patient: o.PatientId = None,
    encounter: o.EncounterId = None,
    cohort: o.CohortFile = None,
    all_patients: o.Everybody = False,
    reason: o.Reason = None,
    k: Annotated[int, typer.Option("-k", help="How many hits, or patients.")] = 10,
    mode: Annotated[
        str,
        typer.Option(
            help="expanded (words, meaning, and other words of the knowledge graph), hybrid "
            "(without the graph), dense, lexical or rrf; --rerank goes with each."
        ),
    ] = "expanded",
    graph: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="A knowledge graph of your own (drehr-rag kg build) in the "
            "place of the packaged one.",
            metavar="FOLDER",
        ),
    ] = None,
    abbreviations: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="An inventory in the place of the packaged ones; may be repeated.",
            metavar="FILE",
        ),
    ] = None,
    nearest: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="The graph's names by an encoder (drehr-rag kg nearest): what the graph has no "
            "name for is taken for the nearest.",
            metavar="FOLDER",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which terms found each passage, and why.")
    ] = False,
    assertion: Annotated[
        str,
        typer.Option(
            help="What only denies it: ranked (it sinks), present (left out, as is what is only "
            "possible, past or a relative's), any."
        ),
    ] = "ranked",
    rerank: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Look at the best hits again: late-interaction (the index's own encoder), "
            "combined (no model), cross-encoder:MODEL, or served:http://HOST:8000/v1.",
            metavar="RERANKER",
        ),
    ] = None,
    by_patient: Annotated[bool, typer.Option(help="Group the hits by patient.")] = False,
    per_patient: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="With --by-patient: hits shown a patient, 3 if not given."),
    ] = None,
    note_type: o.NoteTypes = None,
    section: o.Sections = None,
    since: o.Since = None,
    until: o.Until = None,
    encoder: o.EncoderName = None,
    access: o.AccessOptions = None,
    json: o.Json = False,
) -> None:
    """Search one patient, one stay, a cohort or everybody.

    [bold]Example:[/bold] drehr-rag search "heart failure" --store ./ehr.idx --patient p1 -k 5
    """
    scope = o.scope_of(patient, encounter, cohort, all_patients, reason)
    chosen: SearchMode = cast(SearchMode, mode)
    if (graph or abbreviations or nearest) and mode != "expanded":
        raise BadArgument(
            f"--graph, --abbreviations and --nearest go with mode expanded, not {mode}"
        )
    told = checked_assertion(cast(AssertionMode, assertion))
    if per_patient is not None and not by_patient:
        raise BadArgument("--per-patient goes with --by-patient")
    out, why = console(), explained if explain else by_terms
    with EhrIndex.open(store, encoder=encoder, access=o.access_of(access), create=False) as index:
        o.warn_unknown(index, scope)
        if graph or abbreviations or nearest:
            index.use_graph(graph or PACKAGED, abbreviations=abbreviations, nearest=nearest)
        if rerank is not None:
            index.use_reranker(rerank, base=chosen)
            chosen = "reranked"
        if by_patient:
            groups = index.search_patients(
                query,
                scope=scope,
                k=k,
                per_patient=3 if per_patient is None else per_patient,
                mode=chosen,
                assertion=told,
                note_type=note_type,
                section=section,
                since=since,
                until=until,
            )
            if json:
                print_json([group_record(group) for group in groups])
            for group in [] if json else groups:
                out.print(Text(f"patient {group.patient_id}  {group.score:.3f}", "bold"))
                show_hits(group.hits, query, out, why)
        else:
            groups = []
            hits = index.search(
                query,
                scope=scope,
                k=k,
                mode=chosen,
                assertion=told,
                note_type=note_type,
                section=section,
                since=since,
                until=until,
            )
            if json:
                print_json([hit_record(hit) for hit in hits])
            else:
                show_hits(hits, query, out, why)
        if not json and not (groups or (not by_patient and hits)):
            out.print("nothing found in scope")
