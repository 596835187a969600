"""What the page's browser shows: each query's values, rankings, judgments and passages."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from drehr_rag.eval.comparing.pairing import by_query
from drehr_rag.eval.depth import Ranks
from drehr_rag.eval.passages import Texts
from drehr_rag.eval.report.limits import Limits
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, query_of
from drehr_rag.eval.task import Judgment, Qrels


class Numbered:
    """Chunk ids by number: an id stands once in the page however often it is ranked."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, chunk: str) -> int:
        """The id's number; a new one if it has none."""
        return self.numbers.setdefault(chunk, len(self.numbers))


def ranked_queries(
    results: Sequence[Result], ranked: Sequence[Ranks], limits: Limits, texts: Texts | None
) -> dict[str, Any]:
    """The browser's part of the page, and under `cuts` what was left out of it."""
    queries, qrels = results[0].queries, results[0].qrels
    matches = list(dict.fromkeys(j.match for row in qrels.values() for j in row.values()))
    number = Numbered()
    rankings = [_tops(*pair, limits.top, number) for pair in zip(results, ranked, strict=True)]
    judged = [
        _judged(qrels.get(query, {}), [r[query] for r in ranked], limits.judged, matches, number)
        for query in queries
    ]
    left_out = sum(map(len, qrels.values())) - sum(map(len, judged))
    cuts = [f"the first {limits.top} chunks of each ranking are in this page"]
    if left_out:
        cuts.append(f"{left_out:,} judgments are not, those of chunks ranked lowest")
    shown, shortened = _texts(list(number.numbers), limits.characters, texts)
    if shown is None:
        why = "--with-text was not given" if texts is None else "the page would be too large"
        cuts.append(f"passages' text is not in it: {why}")
    if shortened:
        cuts.append(f"{shortened:,} passages are cut to {limits.characters} characters")
    return {
        "top": limits.top,
        "queries": [
            [q, query.text, query.type, _relevant(qrels, q)] for q, query in queries.items()
        ],
        "matches": matches,
        **_values(results),
        "chunks": list(number.numbers),
        "rankings": rankings,
        "judged": judged,
        "texts": shown,
        "cuts": cuts,
    }


def _tops(result: Result, ranks: Ranks, top: int, number: Numbered) -> list[list[list[float]]]:
    """Of each query, `[chunk, score]` by rank."""
    rows = []
    for query in result.queries:
        scores = result.run.get(query, {})
        rows.append([[number(chunk), _short(scores[chunk])] for chunk in islice(ranks[query], top)])
    return rows


def _judged(
    judged: Mapping[str, Judgment],
    ranks: Sequence[Mapping[str, int]],
    limit: int,
    matches: Sequence[str | None],
    number: Numbered,
) -> list[list[int]]:
    """`[chunk, grade, match, rank in each result (0: not there)]`, those ranked best first."""
    found = {chunk: [places.get(chunk, 0) for places in ranks] for chunk in judged}
    best = sorted(found, key=lambda c: min((rank for rank in found[c] if rank), default=10**9))
    return [
        [number(c), judged[c].grade, matches.index(judged[c].match), *found[c]]
        for c in best[:limit]
    ]


def _values(results: Sequence[Result]) -> dict[str, Any]:
    """Of each measure, result and query the mean over the query's items; None if it has none."""
    first = results[0]
    cells = [c for c in first.scores if c.match == ALL and all(c in r.scores for r in results)]
    queries = list(first.queries)
    values = []
    for cell in cells:
        columns = [result.scores[cell] for result in results]
        present = {query_of(item) for item in columns[0]}
        sums = by_query(queries, [dict.fromkeys(columns[0], 1.0), *columns])
        each = (sums[:, 1:] / sums[:, :1].clip(1)).round(4).T.tolist()
        values.append([_present(queries, present, one) for one in each])
    return {"measures": [[c.setting, c.shown] for c in cells], "values": values}


def _present(
    queries: Sequence[str], present: set[str], values: Sequence[float]
) -> list[float | None]:
    pairs = zip(queries, values, strict=True)
    return [value if query in present else None for query, value in pairs]


def _texts(
    chunks: Sequence[str], characters: int, texts: Texts | None
) -> tuple[dict[int, str] | None, int]:
    if texts is None or characters == 0:
        return None, 0
    known = texts(chunks)
    found = {i: known[chunk] for i, chunk in enumerate(chunks) if chunk in known}
    long = sum(len(text) > characters for text in found.values())
    return {i: text[:characters] for i, text in found.items()}, long


def _relevant(qrels: Qrels, query: str) -> int:
    return sum(judgment.grade > 0 for judgment in qrels.get(query, {}).values())


def _short(score: float) -> float:
    return float(f"{score:.5g}")
