"""Builds stage 2's examples: from a language model's replies, or from people's labels."""

from pathlib import Path
from typing import Any

from drehr_rag.training.building import Progress, build, build_async
from drehr_rag.training.chat import CONCURRENCY, Chat
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.leakage.guard import Guard
from drehr_rag.training.leakage.guarded import Guarded, GuardedAsync, leakage_settings
from drehr_rag.training.stage2.annotated import AnnotatedCorpus, labelled
from drehr_rag.training.stage2.asking import Asking


async def build_from_model(
    corpus: Corpus,
    chat: Chat,
    output: str | Path,
    *,
    form: str = "bullets",
    types: tuple[str, ...] = (),
    guard: Guard | None = None,
    allow_leakage: bool = False,
    concurrency: int = CONCURRENCY,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask for the entities of every chunk; returns the manifest.

    Args:
        corpus: The notes' chunks.
        chat: The model, opened; it bounds the requests in flight.
        output: `NAME.jsonl[.gz]`; see `building.build` for the files beside it.
        form: `bullets` or `json`.
        types: By default all.
        guard: Chunks that it finds are left out.
        allow_leakage: Use them all the same; the manifest says so.
        concurrency: Chunks that are worked on at a time.
        progress: Called for every chunk.

    Raises:
        TrainingError: See `building.build`.
        UnknownName: No form or type has this name.
    """
    named = {"types": types} if types else {}
    asking = Asking(chat, form=form, **named)
    return await build_async(
        corpus,
        GuardedAsync(asking, guard, allow_leakage),
        output,
        settings={
            "stage": 2,
            **asking.settings(),
            "corpus": corpus.settings,
            **leakage_settings(guard, allow_leakage),
        },
        sources=corpus.checksums(),
        account=corpus.counts,
        concurrency=concurrency,
        progress=progress,
    )


def build_from_annotations(
    corpus: AnnotatedCorpus,
    output: str | Path,
    *,
    guard: Guard | None = None,
    allow_leakage: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the labels of every chunk its entities; returns the manifest.

    All else as for `build_from_model`.
    """
    return build(
        corpus,
        Guarded(labelled, guard, allow_leakage),
        output,
        settings={
            "stage": 2,
            "corpus": corpus.settings,
            **leakage_settings(guard, allow_leakage),
        },
        sources=corpus.checksums(),
        licences=corpus.licences(),
        account=corpus.counts,
        progress=progress,
    )
