"""Passages, queries and judgments, and a part of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Pair = tuple[str, str]
"""Query id, chunk id."""


@dataclass
class RetrievalSet:
    """A set in the layout of devset/.

    Attributes:
        corpus: Chunk id → text.
        queries: Rows with `_id`, `text`, `type` and the concept's `ids`.
        qrels: Pair → match type.
        negated: Pairs in which the concept is only denied.
        facts: What `stats.json` says beside the counts.
    """

    corpus: dict[str, str]
    queries: list[dict[str, Any]]
    qrels: dict[Pair, str]
    negated: set[Pair] = field(default_factory=set)
    facts: dict[str, int] = field(default_factory=dict)


def restrict(data: RetrievalSet, keep: Callable[[str], bool], *, least: int) -> RetrievalSet:
    """The chunks that `keep` accepts and the queries with `least` relevant ones among them."""
    corpus = {name: text for name, text in data.corpus.items() if keep(name)}
    counts = Counter(query for query, chunk in data.qrels if chunk in corpus)
    queries = [query for query in data.queries if counts[query["_id"]] >= least]
    kept = {query["_id"] for query in queries}
    return RetrievalSet(
        corpus,
        queries,
        {
            pair: match
            for pair, match in data.qrels.items()
            if pair[0] in kept and pair[1] in corpus
        },
        {pair for pair in data.negated if pair[0] in kept and pair[1] in corpus},
        {
            "chunks_left_out": len(data.corpus) - len(corpus),
            "least_relevant": least,
            "queries_left_out": len(data.queries) - len(queries),
        },
    )
