"""The naive scorer of CliniQ: PAPER.md section 2 in slow loops, to check a fast scorer with.

Types, everywhere here:

* ``corpus``: the chunk ids, each once, ``<hadm_id>_<i>``; a chunk's note is what stands before its
  LAST underscore.
* ``queries``: query id -> (text, query type).
* ``qrels``: (query type, query TEXT) -> {chunk id: match type}; two queries of one text and one
  type share them, and each of the two is scored and counted.
* ``run``: query id -> {chunk id: score}.

Every chunk that the judgments or the run name is a chunk of the corpus.

Where PAPER.md is silent:

* A ranking is by score, highest first; equal scores by chunk id, the GREATER string first (as
  trec_eval does).
* A chunk that the run does not name is not in the ranking at all (not retrieved). The number of a
  note's chunks, and whether all of them are relevant, are counted over the corpus, not the run.
* A query without any judgment is left out of the multi-patient mean. A judged query that the run
  does not name scores 0: in single-patient, each of its pairs does.
* A gain is 1 for a relevant chunk, its discount log2(rank + 1).
* ``nDCG@10`` (and ``nDCG``, over the whole list) is the standard one: its ideal is made of all
  relevant chunks of the query (multi-patient) or of the pair (single-patient).
* ``cliniq-nDCG@10`` (and ``cliniq-nDCG``) takes its ideal from the relevant chunks that were
  retrieved in the top 10 (in the whole list); it is 0 where none was.
* MRR is 1 / rank of the first relevant chunk at any depth, 0 where there is none.
* MAP's denominator is the number of all relevant chunks of the pair, retrieved or not.
* Recall@100 is the relevant chunks among the first 100 / all relevant chunks of the query.
* Match types in multi-patient, which CliniQ does not report: the relevant chunks of the other
  types are removed from the whole ranking before anything is cut at 10 or 100, a query without
  that type is skipped, and nothing else is.
* A removed chunk counts nowhere: not in the ranking, not in an ideal, not in a denominator.
"""

import math
from collections.abc import Iterable

Corpus = list[str]
Queries = dict[str, tuple[str, str]]
Qrels = dict[tuple[str, str], dict[str, str]]
Run = dict[str, dict[str, float]]


def multi_patient(
    corpus: Corpus, queries: Queries, qrels: Qrels, run: Run, match: str | None = None
) -> dict[str, dict[str, float]]:
    """Score every judged query over the chunks of all notes.

    Args:
        corpus: The chunk ids.
        queries: Query id -> (text, query type).
        qrels: (query type, query text) -> {chunk id: match type}.
        run: Query id -> {chunk id: score}.
        match: Score this match type only; None scores all of them together.

    Returns:
        Measure name -> {query id: value}.
    """
    scores: dict[str, dict[str, float]] = {
        "MRR": {},
        "nDCG@10": {},
        "cliniq-nDCG@10": {},
        "Recall@100": {},
    }
    for query in queries:
        judged = judgments(query, queries, qrels)
        relevant = of_type(judged, match)
        removed = of_other_types(judged, match)

        # "only positives are listed": nothing relevant is nothing judged, and such a query is left
        # out. With a match type: "without that type is skipped", here of a query.
        if len(relevant) == 0:
            continue

        # "Multi-patient: one ranking of all chunks per query; MRR, NDCG@10, Recall@100."
        ranking = without(ranked(run.get(query, {})), removed)

        scores["MRR"][query] = reciprocal_rank(ranking, relevant)
        scores["nDCG@10"][query] = standard_ndcg(ranking[:10], relevant, 10)
        scores["cliniq-nDCG@10"][query] = cliniq_ndcg(ranking[:10], relevant)
        scores["Recall@100"][query] = recall(ranking[:100], relevant)
    return scores


def single_patient(
    corpus: Corpus, queries: Queries, qrels: Qrels, run: Run, match: str | None = None
) -> dict[str, dict[tuple[str, str], float]]:
    """Score every pair of a query and a note over the chunks of that note.

    Args:
        corpus: The chunk ids.
        queries: Query id -> (text, query type).
        qrels: (query type, query text) -> {chunk id: match type}.
        run: Query id -> {chunk id: score}.
        match: Score this match type only; None scores all of them together.

    Returns:
        Measure name -> {(query id, note id): value}. "the mean is over pairs, pooled over the
        three query types": one flat dictionary of all pairs.
    """
    scores: dict[str, dict[tuple[str, str], float]] = {
        "MRR": {},
        "nDCG": {},
        "cliniq-nDCG": {},
        "MAP": {},
    }
    for query in queries:
        judged = judgments(query, queries, qrels)
        for note in notes_of(corpus):
            chunks = chunks_of(note, corpus)
            relevant = within(chunks, of_type(judged, match))
            removed = within(chunks, of_other_types(judged, match))

            # "for each (query, note that has a relevant chunk)"; and with a match type: "a pair
            # without that type is skipped".
            if len(relevant) == 0:
                continue

            # "pairs are skipped if the note has fewer than 5 chunks"; with a match type: "the
            # five-chunk test applies before the removal only".
            if len(chunks) < 5:
                continue

            # "or if all its chunks are relevant": of any match type, before any removal.
            if len(within(chunks, list(judged))) == len(chunks):
                continue

            # "for one type, relevant chunks of the other types are removed from the ranking and
            # that type's are scored".
            remaining = without(chunks, removed)

            # "a pair in which every remaining chunk is relevant is skipped again".
            if len(within(remaining, relevant)) == len(remaining):
                continue

            # "the note's chunks in rank order".
            ranking = within(ranked(run.get(query, {})), remaining)

            # "MRR, NDCG over the whole list, MAP".
            scores["MRR"][query, note] = reciprocal_rank(ranking, relevant)
            scores["nDCG"][query, note] = standard_ndcg(ranking, relevant, None)
            scores["cliniq-nDCG"][query, note] = cliniq_ndcg(ranking, relevant)
            scores["MAP"][query, note] = average_precision(ranking, relevant)
    return scores


def mean(values: Iterable[float]) -> float:
    """The mean of the values; not a number where there is none."""
    total = 0.0
    count = 0
    for value in values:
        total = total + value
        count = count + 1
    if count == 0:
        return math.nan
    return total / count


# Chunks, notes, judgments -------------------------------------------------------------------------


def note_of(chunk: str) -> str:
    # "chunks with ids `<hadm_id>_<i>`".
    return chunk[: chunk.rindex("_")]


def notes_of(corpus: Corpus) -> list[str]:
    notes: list[str] = []
    for chunk in corpus:
        if note_of(chunk) not in notes:
            notes.append(note_of(chunk))
    return notes


def chunks_of(note: str, corpus: Corpus) -> list[str]:
    chunks = []
    for chunk in corpus:
        if note_of(chunk) == note:
            chunks.append(chunk)
    return chunks


def within(chunks: list[str], some: list[str]) -> list[str]:
    found = []
    for chunk in chunks:
        if chunk in some:
            found.append(chunk)
    return found


def without(chunks: list[str], removed: list[str]) -> list[str]:
    left = []
    for chunk in chunks:
        if chunk not in removed:
            left.append(chunk)
    return left


def judgments(query: str, queries: Queries, qrels: Qrels) -> dict[str, str]:
    # "Qrels are keyed by the query's text within a query type".
    text, query_type = queries[query]
    return qrels.get((query_type, text), {})


def of_type(judged: dict[str, str], match: str | None) -> list[str]:
    # "for one type, [...] that type's are scored".
    chunks = []
    for chunk, match_type in judged.items():
        if match is None or match_type == match:
            chunks.append(chunk)
    return chunks


def of_other_types(judged: dict[str, str], match: str | None) -> list[str]:
    # "for one type, relevant chunks of the other types are removed from the ranking".
    chunks = []
    for chunk, match_type in judged.items():
        if match is not None and match_type != match:
            chunks.append(chunk)
    return chunks


def ranked(scored: dict[str, float]) -> list[str]:
    # The highest score first, and of equal scores the greater chunk id.
    pairs = []
    for chunk, score in scored.items():
        pairs.append((score, chunk))
    pairs.sort()
    pairs.reverse()
    return [chunk for _, chunk in pairs]


# Measures of one ranking --------------------------------------------------------------------------


def reciprocal_rank(ranking: list[str], relevant: list[str]) -> float:
    # "MRR".
    rank = 0
    for chunk in ranking:
        rank = rank + 1
        if chunk in relevant:
            return 1 / rank
    return 0.0


def recall(top: list[str], relevant: list[str]) -> float:
    # "Recall@100".
    return len(within(top, relevant)) / len(relevant)


def average_precision(ranking: list[str], relevant: list[str]) -> float:
    # "MAP": the precision at the rank of each retrieved relevant chunk, over all relevant ones.
    rank = 0
    found = 0
    total = 0.0
    for chunk in ranking:
        rank = rank + 1
        if chunk in relevant:
            found = found + 1
            total = total + found / rank
    return total / len(relevant)


def dcg(gains: list[int]) -> float:
    rank = 0
    total = 0.0
    for gain in gains:
        rank = rank + 1
        total = total + gain / math.log2(rank + 1)
    return total


def gains_of(top: list[str], relevant: list[str]) -> list[int]:
    gains = []
    for chunk in top:
        if chunk in relevant:
            gains.append(1)
        else:
            gains.append(0)
    return gains


def standard_ndcg(top: list[str], relevant: list[str], depth: int | None) -> float:
    # "NDCG@10 is higher than the standard one. Report both, named.": the standard one, whose
    # ideal ranking has all relevant chunks first, as many as there is depth for.
    ideal = [1 for _ in relevant]
    if depth is not None:
        ideal = ideal[:depth]
    return dcg(gains_of(top, relevant)) / dcg(ideal)


def cliniq_ndcg(top: list[str], relevant: list[str]) -> float:
    # "Its NDCG takes the ideal ranking from the relevances that were retrieved in the top k".
    gains = gains_of(top, relevant)
    ideal = sorted(gains, reverse=True)
    if dcg(ideal) == 0:
        return 0.0
    return dcg(gains) / dcg(ideal)
