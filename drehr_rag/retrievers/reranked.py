"""The best hits of any retriever, put in a new order by a model that reads query and passage."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from drehr_rag._arguments import number, positive
from drehr_rag.errors import BadArgument, RerankerError
from drehr_rag.protocols import Encoder, HitReranker, Reranker, Retriever, Store
from drehr_rag.rerankers import load_reranker
from drehr_rag.retrievers import load_retriever
from drehr_rag.retrievers._patients import PER_PATIENT
from drehr_rag.retrievers._ranked import ranked
from drehr_rag.types import Filters, Hit, PatientHits, Ranked, Scope

DEPTH = 20
"""Hits that are looked at again; 50 gain nothing more (docs/measurements.md)."""

SHARE = 0.3
"""What the reranker counts beside the ranking that it is given. Chosen for late interaction
(docs/measurements.md), which loses when it decides alone; a better reranker deserves more."""

USUAL = (DEPTH, SHARE)


def build(
    *,
    encoder: Encoder,
    store: Store,
    reranker: Reranker | str | Path = "late-interaction",
    base: Retriever | str = "expanded",
    base_options: Mapping[str, Any] | None = None,
    reranker_options: Mapping[str, Any] | None = None,
    depth: int | None = None,
    share: float | None = None,
) -> "RerankedRetriever":
    """A retriever whose best hits are looked at again.

    Args:
        encoder: As for `base`; late interaction takes its token vectors.
        store: As for `base`.
        reranker: A name that `load_reranker` takes, or a reranker.
        base: What searches: a mode's name, or a retriever.
        base_options: Of a base given by its name.
        reranker_options: Of a reranker given by its name.
        depth: Hits that are looked at again; those below stay below, as they were. 20, or what a
            reranker of whole hits says.
        share: What the reranker's relative score counts, from 0 to 1; the rest is the base's. 0.3,
            or what a reranker of whole hits says.

    Raises:
        BadArgument: A number that cannot be meant, or options for what is loaded already.
        UnknownName: There is no such reranker or base, or it has no such option.
    """
    positive(DEPTH if depth is None else depth, "depth")
    number(SHARE if share is None else share, "share", 0)
    if share is not None and share > 1:
        raise BadArgument(f"share is a number from 0 to 1, not {share!r}")
    if isinstance(base, str):
        base = load_retriever(base, encoder=encoder, store=store, **(base_options or {}))
    elif base_options:
        raise BadArgument("base_options are for a base given by its name: this one is loaded")
    if isinstance(reranker, str | Path):
        reranker = load_reranker(reranker, encoder=encoder, **(reranker_options or {}))
    elif reranker_options:
        raise BadArgument("reranker_options are for a reranker given by name: this one is loaded")
    usual = (reranker.depth, reranker.share) if isinstance(reranker, HitReranker) else USUAL
    return RerankedRetriever(
        base,
        reranker,
        depth=usual[0] if depth is None else depth,
        share=usual[1] if share is None else share,
    )


class RerankedRetriever:
    """Asks the base, has its best `depth` hits scored, and mixes both relative scores."""

    def __init__(
        self, base: Retriever, reranker: Reranker, *, depth: int = DEPTH, share: float = SHARE
    ) -> None:
        """Keep the parts."""
        self._base = base
        self._reranker = reranker
        self._depth = depth
        self._share = share

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query; `scores` tells what the reranker gave as `rerank`.

        Raises:
            RerankerError: It failed, or did not give each passage a number.
        """
        deep = max(self._depth, k)
        found = self._base.retrieve(queries, scope=scope, filters=filters, k=deep)
        return [self._reranked(q, hits)[:k] for q, hits in zip(queries, found, strict=True)]

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks."""
        return ranked(self.retrieve(queries, scope=scope, filters=filters, k=k))

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best patients by their best hit, among those that the base finds."""
        groups = self._base.retrieve_patients(
            query,
            scope=scope,
            filters=filters,
            k=max(self._depth, k),
            per_patient=max(PER_PATIENT, per_patient),
        )
        found = [hit for group in groups for hit in group.hits]
        found.sort(key=lambda hit: -hit.score)
        patients: dict[str | None, list[Hit]] = {}
        for hit in self._reranked(query, found):
            patients.setdefault(hit.chunk.patient_id, []).append(hit)
        best = list(patients.items())[:k]
        return [PatientHits(name, hits[0].score, tuple(hits[:per_patient])) for name, hits in best]

    def _reranked(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        head, tail = hits[: self._depth], hits[self._depth :]
        if not head:
            return []
        given = self._scored(query, head)
        mixed = [
            self._share * new + (1 - self._share) * old
            for new, old in zip(_relative(given), _relative([h.score for h in head]), strict=True)
        ]
        looked = [
            replace(hit, score=score, scores={**hit.scores, "rerank": own})
            for hit, score, own in zip(head, mixed, given, strict=True)
        ]
        looked.sort(key=lambda hit: -hit.score)  # equal ones stay as the base has them
        floor, edge = looked[-1].score, head[-1].score
        return [*looked, *(replace(hit, score=floor + hit.score - edge) for hit in tail)]

    def _scored(self, query: str, hits: Sequence[Hit]) -> list[float]:
        given = (
            self._reranker.score_hits(query, hits)
            if isinstance(self._reranker, HitReranker)
            else self._reranker.score(query, [hit.chunk.text for hit in hits])
        )
        scores = list(map(float, given))
        if len(scores) != len(hits) or not all(map(isfinite, scores)):
            raise RerankerError(
                f"{self._reranker.name} gave {sum(map(isfinite, scores))} numbers for {len(hits)} "
                "passages: its weights are broken, or its precision is too narrow for them"
            )
        return scores


def _relative(scores: Sequence[float]) -> list[float]:
    """Between the worst, 0, and the best, 1."""
    low, high = min(scores), max(scores)
    return [(score - low) / ((high - low) or 1.0) for score in scores]
