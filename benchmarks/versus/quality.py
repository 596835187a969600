"""nDCG@10 on the development sets from the vectors that a system stored."""

import json
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import Qrel, ScoredDoc, nDCG

from benchmarks.devsets import Devset, load
from benchmarks.versus.chunks import DEVSETS, read

DEEP = 10
NDCG = nDCG @ DEEP


class Judge:
    """The development sets as far as their passages are among the chunks.

    Args:
        data: The folder of open data.
        chunk_file: The chunks that everybody indexed.
    """

    def __init__(self, data: Path, chunk_file: Path) -> None:
        """Read passages, queries and judgments."""
        rows = read(chunk_file)
        self._ids = [row["chunk_id"] for row in rows]
        places: dict[str, list[int]] = {name: [] for name in DEVSETS}
        for place, row in enumerate(rows):
            if row["source"] in places:
                places[row["source"]].append(place)
        self._places = places
        self._sets = {name: _among(load(data, name), set(self._ids)) for name in DEVSETS}

    def queries(self) -> list[str]:
        """Of all sets, in the order in which `ndcg` expects their vectors."""
        return [text for devset in self._sets.values() for text in devset.queries.values()]

    def query_file(self, work: Path) -> Path:
        """The queries as a JSON file."""
        path = work / f"queries-{len(self._ids)}.json"
        path.write_text(json.dumps(self.queries()), encoding="utf-8")
        return path

    def ndcg(self, arrays: str) -> dict[str, float]:
        """Set → nDCG@10 by exact cosine over the set's passages.

        Args:
            arrays: Path of the answer, to which `-passages.npy` and `-queries.npy` are added.
        """
        passages, queries = np.load(f"{arrays}-passages.npy"), np.load(f"{arrays}-queries.npy")
        scores: dict[str, float] = {}
        start = 0
        for name, devset in self._sets.items():
            asked = queries[start : start + len(devset.queries)]
            start += len(devset.queries)
            places = np.array(self._places[name])
            nearest = np.argsort(-(asked @ passages[places].T), axis=1, kind="stable")[:, :DEEP]
            run = [
                ScoredDoc(query, self._ids[places[place]], -float(rank))
                for query, row in zip(devset.queries, nearest, strict=True)
                for rank, place in enumerate(row)
            ]
            judged = [Qrel(query, chunk, 1) for query, few in devset.qrels.items() for chunk in few]
            scores[name] = float(ir_measures.calc_aggregate([NDCG], judged, run)[NDCG])
        return scores


def _among(devset: Devset, chunk_ids: set[str]) -> Devset:
    """Only the passages that are there, and queries with a judgment that is left."""
    passages = {key: text for key, text in devset.passages.items() if key in chunk_ids}
    qrels = {
        query: left
        for query, judged in devset.qrels.items()
        if (left := {chunk: match for chunk, match in judged.items() if chunk in passages})
    }
    queries = {key: text for key, text in devset.queries.items() if key in qrels}
    return Devset(devset.name, passages, queries, qrels)
