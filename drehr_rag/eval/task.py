"""What a benchmark is once it is loaded: passages, queries, judgments, and how they are scored."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from drehr_rag.errors import EvaluationError

SettingName = Literal["multi-patient", "single-patient"]

Measures = Mapping[SettingName, tuple[str, ...]]
"""The measures of each setting, by names that ir_measures knows, or `cliniq-nDCG[@k]`."""

CLINIQ: Measures = {
    "multi-patient": ("RR", "nDCG@10", "cliniq-nDCG@10", "R@100"),
    "single-patient": ("RR", "nDCG", "cliniq-nDCG", "AP"),
}
"""CliniQ's measures (PAPER.md section 2): MRR is the mean of RR, MAP that of AP."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of the corpus; `note_id` says which chunks a single-patient ranking is made of."""

    text: str = field(repr=False)
    note_id: str
    patient_id: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and its type ("disease", "drug", …) if the benchmark has types."""

    text: str = field(repr=False)
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Judgment:
    """How relevant a chunk is (0 is judged and not relevant), and by what kind of match."""

    grade: int = 1
    match: str | None = None


Qrels = Mapping[str, Mapping[str, Judgment]]
"""Query id → chunk id → judgment."""


@dataclass(frozen=True)
class Task:
    """A benchmark that can be scored.

    Attributes:
        name: Of the benchmark.
        passages: Chunk id → passage.
        queries: Query id → query; each has at least one relevant chunk.
        qrels: Query id → chunk id → judgment.
        measures: What is measured in which setting.
        note_chunks: Notes of fewer chunks are left out of the single-patient setting.
        facts: For the manifest: files and their checksums, what was left out and how often.
    """

    name: str
    passages: Mapping[str, Passage]
    queries: Mapping[str, Query]
    qrels: Qrels
    measures: Measures = field(default_factory=lambda: CLINIQ)
    note_chunks: int = 5
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse judgments that do not fit: they would lower every score in silence."""
        if not self.passages:
            raise EvaluationError(f"{self.name}: there is no passage")
        unknown = {q for q in self.qrels if q not in self.queries}
        if unknown:
            raise EvaluationError(
                f"{self.name}: {len(unknown):,} of {len(self.qrels):,} judged queries are not "
                f"among the {len(self.queries):,} queries, e.g. {min(unknown)!r}: another split?"
            )
        missing = [
            chunk
            for judged in self.qrels.values()
            for chunk in judged
            if chunk not in self.passages
        ]
        if missing:
            total = sum(map(len, self.qrels.values()))
            raise EvaluationError(
                f"{self.name}: {len(missing):,} of {total:,} judgments name chunks that are not "
                f"among the {len(self.passages):,} passages, e.g. {missing[0]!r}: another corpus, "
                "or one that was chunked otherwise?"
            )
        unjudged = [q for q in self.queries if not self.relevant(q)]
        if unjudged:
            raise EvaluationError(
                f"{self.name}: {len(unjudged):,} of {len(self.queries):,} queries have no "
                f"relevant chunk, e.g. {unjudged[0]!r}: judgments of another split?"
            )

    def relevant(self, query: str) -> dict[str, Judgment]:
        """The chunks judged relevant for a query."""
        return {c: one for c, one in self.qrels.get(query, {}).items() if one.grade > 0}

    @property
    def matches(self) -> list[str]:
        """The match types, most frequent first."""
        labels = (j.match for judged in self.qrels.values() for j in judged.values() if j.grade > 0)
        return [name for name, _ in Counter(label for label in labels if label).most_common()]

    @property
    def types(self) -> list[str]:
        """The query types, most frequent first."""
        return [
            t for t, _ in Counter(q.type for q in self.queries.values() if q.type).most_common()
        ]
