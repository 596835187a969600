"""Any retriever's hits, told apart by what the notes say of what was looked for.

What is only denied ("denies chest pain") is worth less than what is there, or is left out.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, get_args

from drehr_rag._arguments import MOST
from drehr_rag.errors import BadArgument
from drehr_rag.protocols import Retriever
from drehr_rag.retrievers._mentions import Wanted
from drehr_rag.retrievers._patients import PER_PATIENT
from drehr_rag.retrievers._ranked import ranked
from drehr_rag.retrievers.hybrid import DEPTH
from drehr_rag.types import AssertionMode, Filters, Hit, PatientHits, Ranked, Scope

DENIED = 0.5
"""What is left of the score of a hit whose every mention is denied. Chosen on mtsamples_select and
vaers2003 (docs/measurements.md), where from 0.3 to 0.7 nDCG@10 hardly differs."""

MORE = 5
"""Hits, or patients, that are asked for beyond those wanted, or half as many again if that is more:
each is read, though looked at only as needed. Of 734 queries of mtsamples_select and vaers2003 by
words, 10 hits each, 9 asked again; with 10 more 3 would have, with 3 more 18."""

Scored = TypeVar("Scored", Hit, PatientHits)


def asserted(retriever: Retriever, mode: AssertionMode) -> Retriever:
    """The retriever with its hits told apart.

    Args:
        retriever: Any.
        mode: `ranked`: what is only denied sinks; `present`: what is mentioned, but never as
            present, is left out; `any`: the retriever as it is.

    Raises:
        BadArgument: No such mode.
    """
    if checked_assertion(mode) == "any":
        return retriever
    return AssertedRetriever(retriever, only=mode == "present")


def checked_assertion(mode: AssertionMode) -> AssertionMode:
    """The mode, if there is such a one.

    Raises:
        BadArgument: There is none.
    """
    if mode not in get_args(AssertionMode):
        known = ", ".join(get_args(AssertionMode))
        raise BadArgument(f"assertion is one of {known}, not {mode!r}")
    return mode


class AssertedRetriever:
    """Asks for more hits than are wanted, and looks at so many as could be among the best."""

    def __init__(self, retriever: Retriever, *, only: bool = False, denied: float = DENIED) -> None:
        """Keep the retriever.

        Args:
            retriever: Any.
            only: Leave out what is mentioned, but never as present.
            denied: What is left of the score of a hit that is only denied, from 0 to 1.
        """
        self._retriever = retriever
        self._only = only
        self._denied = denied

    def retrieve(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Hit]]:
        """The k best hits of each query; each tells what its chunk says, if it mentions it.

        The order is that of the best 200 hits, or k if that is more; where hits are left out,
        others are looked for until there are enough.
        """
        where: dict[str, Any] = {"scope": scope, "filters": filters}

        def ask(query: str, look: int) -> list[Hit]:
            return self._retriever.retrieve([query], **where, k=look)[0]

        first = self._retriever.retrieve(queries, **where, k=_look(k))
        return [
            self._enough(hits, partial(ask, query), self._judge(query), k)
            for query, hits in zip(queries, first, strict=True)
        ]

    def rank(
        self, queries: Sequence[str], *, scope: Scope, filters: Filters, k: int
    ) -> list[list[Ranked]]:
        """As `retrieve`, without the chunks; they are read all the same."""
        return ranked(self.retrieve(queries, scope=scope, filters=filters, k=k))

    def retrieve_patients(
        self, query: str, *, scope: Scope, filters: Filters, k: int, per_patient: int
    ) -> list[PatientHits]:
        """The k best patients by their best hit, each of whose ten best hits count."""
        judge = self._judge(query)

        def ask(look: int) -> list[PatientHits]:
            most = max(PER_PATIENT, per_patient)
            return self._retriever.retrieve_patients(
                query, scope=scope, filters=filters, k=look, per_patient=most
            )

        def weighed(patient: PatientHits) -> PatientHits | None:
            hits, _ = _best(patient.hits, judge, per_patient)
            return PatientHits(patient.patient_id, hits[0].score, tuple(hits)) if hits else None

        return self._enough(ask(_look(k)), ask, weighed, k)

    def _enough(
        self,
        found: Sequence[Scored],
        ask: Callable[[int], Sequence[Scored]],
        weighed: Callable[[Scored], Scored | None],
        k: int,
    ) -> list[Scored]:
        """The k best; more are asked for while one that was not seen could be among them."""
        look = _look(k)
        while True:
            best, sure = _best(found, weighed, k)
            most = MOST if self._only and len(best) < k else max(DEPTH, k)
            if sure or len(found) < look or look >= most:
                return best
            look = min(4 * look, most)
            found = ask(look)

    def _judge(self, query: str) -> Callable[[Hit], Hit | None]:
        """What weighs a hit of a query."""
        wanted = Wanted.of(query)

        def judge(hit: Hit) -> Hit | None:
            said = wanted.said(hit)
            if said is None:
                return hit
            if self._only and said != "present":
                return None
            score = self._sunk(hit.score) if said == "negated" else hit.score
            return replace(hit, score=score, assertion=said)

        return judge

    def _sunk(self, score: float) -> float:
        """Less than it was, below nought too (a cosine)."""
        return score * self._denied if score > 0 else score - (1 - self._denied)


def _look(k: int) -> int:
    """How many are asked for at first; more than `DEPTH` would change scores of mode hybrid."""
    return max(k, min(k + max(MORE, k // 2), DEPTH))


def _best(
    found: Iterable[Scored], weighed: Callable[[Scored], Scored | None], k: int
) -> tuple[list[Scored], bool]:
    """The k best by their new scores, and whether what comes after `found` cannot be among them.

    No score rises, and `found` stands in the order of the old ones: as soon as k are as good as the
    next one was, the rest need not be looked at.
    """
    best: list[Scored] = []
    for one in found:
        if len(best) >= k and best[k - 1].score >= one.score:
            return best[:k], True
        if (new := weighed(one)) is not None:
            insort(best, new, key=lambda scored: -scored.score)
    return best[:k], False
