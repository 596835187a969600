"""A run and a task to scores: both settings, each match type, every measure, per query.

Measures are those of ir_measures, on rankings that this file prepares: ties in trec_eval's order,
other match types taken out, one ranking a query (multi-patient) or a query and note
(single-patient). CliniQ's own nDCG stands beside the standard one, under its own name.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from math import log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drehr_rag._extras import require
from drehr_rag.errors import EvaluationError
from drehr_rag.eval.runs import Run, check_run
from drehr_rag.eval.task import SettingName, Task

ALL = "all"
OWN = re.compile(r"cliniq-nDCG(?:@(\d+))?")
SHOWN = {"RR": "MRR", "AP": "MAP"}

AT_ONCE = 4_000
"""Rankings that ir_measures gets at a time: this bounds memory."""

Places = NDArray[np.int64]
"""Chunks by their places in the corpus."""


class Cell(NamedTuple):
    """What a mean is over: a setting, a match type (or `all`), a measure."""

    setting: SettingName
    match: str
    measure: str

    @property
    def shown(self) -> str:
        """What its mean is called: MRR for RR, MAP for AP, Recall@100 for R@100."""
        if self.measure.startswith("R@"):
            return "Recall" + self.measure[1:]
        return SHOWN.get(self.measure, self.measure)


Scores = dict[Cell, dict[str, float]]
"""Each cell's values by item: a query's id, or in the single-patient setting that and the note's,
with a tab between them."""


def measure_named(name: str) -> str:
    """A measure's one name, from what it or its mean is called; tried before anything is retrieved.

    Raises:
        EvaluationError: It is not known, or cannot be computed here.
    """
    if OWN.fullmatch(name):
        return name
    for measure, mean_of in SHOWN.items():
        if name.upper() == mean_of:
            return measure
    return str(_parsed(name.replace("Recall@", "R@")))


def named_in_notes(task: Task, run: Run) -> tuple[int, int]:
    """How many chunks of the notes with a relevant chunk a run names, of how many.

    In the single-patient setting what it does not name counts as not retrieved, so a run that was
    cut at some depth scores far too low there.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for chunk, passage in task.passages.items():
        members[passage.note_id].add(chunk)
    named = total = 0
    for query in task.queries:
        for note in {task.passages[chunk].note_id for chunk in task.relevant(query)}:
            total += len(members[note])
            named += len(members[note] & run.get(query, {}).keys())
    return named, total


def query_of(item: str) -> str:
    """The query that an item of `Scores` belongs to."""
    return item.partition("\t")[0]


def score(
    task: Task,
    run: Run,
    *,
    single: Run | None = None,
    missing: str = "error",
    measures: Mapping[SettingName, Sequence[str]] | None = None,
) -> Scores:
    """Score a run.

    Multi-patient: one ranking of all chunks a query. Single-patient: for each query and note that
    has a relevant chunk, the note's chunks as the run ranks them; left out are notes of fewer than
    five chunks, and pairs in which every chunk is relevant. For one match type the relevant chunks
    of other types are taken out of the ranking, a query or pair without that type is left out,
    and so is a pair in which every chunk that remains is relevant (PAPER.md section 2).

    Args:
        task: The benchmark.
        run: `{query: {chunk: score}}`; what it leaves out was not retrieved.
        single: Another run for the single-patient setting, whose searches saw one note each.
        missing: `error`, or `zero`: queries that the run leaves out count as nothing found.
        measures: Instead of the task's own.

    Returns:
        Per cell and item, in [0, 1]. The overall figure is the mean over all items.

    Raises:
        EvaluationError: The run does not fit the task.
    """
    corpus = _Corpus(task)
    names = measures or task.measures
    runs = {s: run if s == "multi-patient" or single is None else single for s in names}
    different = {id(chosen): chosen for chosen in runs.values()}
    for chosen in different.values():
        check_run(chosen, list(task.queries), missing=missing)
    sheets = {
        (setting, match): _Sheet(names[setting], corpus.ids)
        for setting in names
        for match in (ALL, *task.matches)
    }
    for query in task.queries:
        orders = {key: corpus.ranked(chosen, query) for key, chosen in different.items()}
        for (setting, match), sheet in sheets.items():
            order = orders[id(runs[setting])]
            for ranking in _rankings(task, corpus, setting, query, match, order):
                sheet.add(ranking)
    return {
        Cell(setting, match, name): values
        for (setting, match), sheet in sheets.items()
        for name, values in sheet.values().items()
    }


def mean(values: Mapping[str, float]) -> float:
    """The mean over items.

    Raises:
        EvaluationError: There is none.
    """
    if not values:
        raise EvaluationError("there is nothing to take the mean of")
    return float(np.mean(list(values.values())))


class _Ranking(NamedTuple):
    """What is measured: a ranking without the chunks of other match types, and the judgments.

    `zeros` are the chunks judged not relevant: some measures tell them from those not judged.
    """

    item: str
    order: Places
    grades: Mapping[int, int]
    zeros: Mapping[int, int]


def _rankings(
    task: Task, corpus: "_Corpus", setting: SettingName, query: str, match: str, order: Places
) -> Iterator[_Ranking]:
    relevant = task.relevant(query)
    wanted = {corpus.place[c]: j.grade for c, j in relevant.items() if match in (ALL, j.match)}
    others = corpus.places([c for c, j in relevant.items() if match not in (ALL, j.match)])
    if not wanted:
        return
    kept = order[~corpus.among(others)[order]] if len(others) else order
    zeros = {corpus.place[c]: j.grade for c, j in task.qrels[query].items() if j.grade <= 0}
    if setting == "multi-patient":
        yield _Ranking(query, kept, wanted, zeros)
        return
    judged = corpus.places(list(relevant))
    in_note, removed = np.bincount(corpus.note[judged]), np.bincount(corpus.note[others])
    wanted_in: dict[int, dict[int, int]] = defaultdict(dict)
    for place, grade in wanted.items():
        wanted_in[int(corpus.note[place])][place] = grade
    notes = corpus.note[kept]
    for note, grades in wanted_in.items():
        size = corpus.size[note]
        left = size - (removed[note] if note < len(removed) else 0)
        if size < task.note_chunks or in_note[note] == size or len(grades) == left:
            continue
        mine = {place: grade for place, grade in zeros.items() if corpus.note[place] == note}
        yield _Ranking(f"{query}\t{corpus.note_ids[note]}", kept[notes == note], grades, mine)


class _Sheet:
    """Rankings in, values out; measured by and by, so that few are held at a time."""

    def __init__(self, names: Sequence[str], ids: Sequence[str]) -> None:
        self._ids = ids
        own = {name: OWN.fullmatch(name) for name in names}
        self._own = {n: int(m[1]) if m[1] else None for n, m in own.items() if m}
        self._measures = {name: _parsed(name) for name in names if name not in self._own}
        self._cut = _cut([*map(_cutoff, self._measures.values()), *self._own.values()])
        self._values: dict[str, dict[str, float]] = {name: {} for name in names}
        self._qrels: dict[str, dict[str, int]] = {}
        self._run: dict[str, dict[str, float]] = {}

    def add(self, ranking: _Ranking) -> None:
        order = ranking.order[: self._depth(ranking)].tolist()
        for name, depth in self._own.items():
            self._values[name][ranking.item] = _cliniq_ndcg(order[:depth], ranking.grades)
        judged = {**ranking.grades, **ranking.zeros}
        self._qrels[ranking.item] = {self._ids[p]: g for p, g in judged.items()}
        self._run[ranking.item] = {self._ids[p]: -float(i) for i, p in enumerate(order)}
        if len(self._qrels) == AT_ONCE:
            self._measure()

    def _depth(self, ranking: _Ranking) -> int | None:
        """How much of it can matter; None: all."""
        if self._cut is None:
            return None
        hits = np.isin(ranking.order, list(ranking.grades))
        return max(self._cut, int(hits.argmax()) + 1 if len(hits) else 0)

    def values(self) -> dict[str, dict[str, float]]:
        self._measure()
        return {name: values for name, values in self._values.items() if values}

    def _measure(self) -> None:
        ir_measures: Any = require("ir_measures", extra="eval")
        names = {measure: name for name, measure in self._measures.items()}
        for name in names.values():
            self._values[name].update(dict.fromkeys(self._qrels, 0.0))
        if names and self._qrels:
            for found in ir_measures.iter_calc(list(names), self._qrels, self._run):
                self._values[names[found.measure]][found.query_id] = float(found.value)
        self._qrels, self._run = {}, {}


def _cliniq_ndcg(order: Sequence[int], grades: Mapping[int, int]) -> float:
    """DCG over that of the same gains in the best order: what was not retrieved is not missed."""
    gains = [(rank, grades[place]) for rank, place in enumerate(order) if place in grades]
    best = sorted((gain for _, gain in gains), reverse=True)
    ideal = sum(gain / log2(rank + 2) for rank, gain in enumerate(best))
    return sum(gain / log2(rank + 2) for rank, gain in gains) / ideal if ideal else 0.0


@cache
def _parsed(name: str) -> Any:
    """The measure, if it can be computed: tried at once, not after an hour of retrieving."""
    ir_measures: Any = require("ir_measures", extra="eval")
    try:
        measure = ir_measures.parse_measure(name)
        list(ir_measures.iter_calc([measure], {"q": {"d": 1}}, {"q": {"d": 1.0}}))
        return measure
    except Exception:  # each program behind ir_measures fails in a way of its own
        raise EvaluationError(
            f"no measure is called {name!r} that can be computed here: give one of ir_measures "
            "(nDCG@10, RR, AP, R@100, P@5, …), or cliniq-nDCG@10"
        ) from None


CUT = ("nDCG", "P", "R", "Success")
"""Measures that look no deeper than their cutoff, if that is their only parameter."""


def _cutoff(measure: Any) -> int | None:
    """How deep a measure looks; RR looks as far as the first relevant chunk, wherever it is."""
    if measure.NAME == "RR" and not measure.params:
        return 0
    known = measure.NAME in CUT and measure.params.keys() == {"cutoff"}
    return int(measure.params["cutoff"]) if known else None


def _cut(depths: Sequence[int | None]) -> int | None:
    known = [depth for depth in depths if depth is not None]
    return max(known, default=0) if len(known) == len(depths) else None


class _Corpus:
    """The chunks as numbers, so that sixteen thousand are ranked in a millisecond."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.ids = list(task.passages)
        self.place = {chunk: i for i, chunk in enumerate(self.ids)}
        ordered = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        self._tie = np.empty(len(ordered), dtype=np.int64)
        self._tie[ordered] = np.arange(len(ordered))

    @cached_property
    def note(self) -> NDArray[np.int64]:
        """The number of each chunk's note."""
        numbers: dict[str, int] = {}
        notes = (passage.note_id for passage in self._task.passages.values())
        return np.fromiter((numbers.setdefault(n, len(numbers)) for n in notes), np.int64)

    @cached_property
    def note_ids(self) -> list[str]:
        """The note of each number."""
        return list(dict.fromkeys(p.note_id for p in self._task.passages.values()))

    @cached_property
    def size(self) -> NDArray[np.int64]:
        """Chunks of each note."""
        return np.bincount(self.note, minlength=len(self.note_ids))

    def places(self, chunks: Sequence[str]) -> Places:
        """Chunks by their numbers."""
        return np.fromiter(map(self.place.__getitem__, chunks), np.int64, len(chunks))

    def among(self, places: Places) -> NDArray[np.bool_]:
        """Of every chunk, whether it is one of these."""
        mask = np.zeros(len(self.ids), dtype=np.bool_)
        mask[places] = True
        return mask

    def ranked(self, run: Run, query: str) -> Places:
        """A query's ranking, best first; of equal scores the greater id first."""
        scores = run.get(query, {})
        values = np.fromiter(scores.values(), np.float64, len(scores))
        try:
            places = self.places(list(scores))
        except KeyError:
            self._unknown(run)
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise EvaluationError(f"{bad:,} scores of query {query!r} are no finite number")
        order = np.lexsort((self._tie[places], values))[::-1]
        return places[order]

    def _unknown(self, run: Run) -> None:
        named = [chunk for scores in run.values() for chunk in scores]
        unknown = [chunk for chunk in named if chunk not in self.place]
        raise EvaluationError(
            f"{len(unknown):,} of the run's {len(named):,} entries name chunks that are not among "
            f"the {len(self.ids):,} passages, e.g. {unknown[0]!r}: a run over another corpus, or "
            "over one that was chunked otherwise?"
        )
