"""Runs, `{query: {chunk: score}}`: read and written in TREC's form and BEIR's."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import IO

from drehr_rag._files import unique
from drehr_rag.errors import EvaluationError
from drehr_rag.eval._files import opened, written

SEEN = 1024
"""Characters among which a JSON file has begun."""

TIES = 20
"""That many lines of a TREC run with equal scores, and none with others, are no accident."""

Run = Mapping[str, Mapping[str, float]]
"""Query id → chunk id → score, higher is better."""


def ranking(scores: Mapping[str, float]) -> list[str]:
    """Chunk ids, best first; of equal scores the greater id comes first, as trec_eval has it."""
    return sorted(scores, key=lambda chunk: (scores[chunk], chunk), reverse=True)


def read_run(path: str | Path) -> dict[str, dict[str, float]]:
    """A run in TREC's form (`query Q0 chunk rank score tag`) or BEIR's (a JSON object).

    Either may be gzipped. Scores decide, as in trec_eval; ranks that contradict them are refused.

    Raises:
        EvaluationError: It cannot be read, is empty, names a chunk twice for a query, holds a
            score that is no finite number, or has ranks that contradict its scores.
    """
    file = Path(path)
    with opened(file) as stream:
        start = stream.read(SEEN).lstrip()[:1]
        stream.seek(0)
        rows = _from_json(stream, file) if start in ("{", "[") else _from_trec(stream, file)
        run = _gathered(rows, file)
    if not any(run.values()):
        raise EvaluationError(f"{file} holds no ranking")
    return run


def write_run(run: Run, path: str | Path, *, tag: str = "drehr-rag", depth: int = 1000) -> None:
    """Write a run: as BEIR's JSON if the name ends in .json or .json.gz, else in TREC's form.

    Args:
        run: What to write.
        path: Where; gzipped if it ends in .gz.
        tag: The system's name, without white space (TREC's last column).
        depth: The best so many chunks of each query.
    """
    file = Path(path)
    if any(character.isspace() for character in tag) or not tag:
        raise EvaluationError(f"a run's tag has no white space, and is not empty: {tag!r}")
    best = {query: ranking(scores)[:depth] for query, scores in run.items()}
    with written(file) as stream:
        if ".json" in file.suffixes:
            kept = {q: {c: run[q][c] for c in chunks} for q, chunks in best.items()}
            json.dump(kept, stream)
            return
        for query, chunks in best.items():
            for rank, chunk in enumerate(chunks, 1):
                _no_space(file, query, chunk)
                stream.write(f"{query} Q0 {chunk} {rank} {float(run[query][chunk])!r} {tag}\n")


class SavedRun(Mapping[str, Mapping[str, float]]):
    """A run in a file, read when it is first looked into: a table of many results needs none."""

    def __init__(self, path: Path) -> None:
        """Nothing is read."""
        self._path = path

    @cached_property
    def _held(self) -> Run:
        return read_run(self._path)

    def __getitem__(self, query: str) -> Mapping[str, float]:
        return self._held[query]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def check_run(run: Run, queries: Sequence[str], *, missing: str = "error") -> None:
    """Refuse a run whose scores would only look right.

    Args:
        run: The run.
        queries: The ids of those that are scored.
        missing: `error`, or `zero`: queries that the run leaves out count as nothing found.

    Raises:
        EvaluationError: It names queries that are not there, or leaves some out.
    """
    foreign = [query for query in run if query not in set(queries)]
    if foreign:
        raise EvaluationError(
            f"{len(foreign):,} of the run's {len(run):,} queries are not among the benchmark's "
            f"{len(queries):,}, e.g. {foreign[0]!r}: a run of another benchmark or split?"
        )
    absent = [query for query in queries if query not in run]
    if absent and missing == "error":
        raise EvaluationError(
            f"the run leaves out {len(absent):,} of {len(queries):,} queries, e.g. {absent[0]!r}: "
            "is it cut off? TREC's form cannot say that nothing was found; if that is so, "
            'say --missing zero, or missing="zero"'
        )


def _from_json(stream: IO[str], file: Path) -> Iterator[tuple[str, str | None, object]]:
    try:
        run = json.load(stream, object_pairs_hook=unique)
    except ValueError as problem:
        raise EvaluationError(f"{file} is broken JSON: {problem}") from None
    except RecursionError:
        raise EvaluationError(f"{file} is no run: its JSON is nested without end") from None
    if not isinstance(run, dict):
        raise EvaluationError(f"{file} is no run: BEIR's form is {{query: {{chunk: score}}}}")
    for query, scores in run.items():
        if not isinstance(scores, dict):
            raise EvaluationError(f"{file}: query {query!r} has no object of chunks and scores")
        yield query, None, None  # nothing may have been found for it
        yield from ((query, chunk, score) for chunk, score in scores.items())


def _from_trec(stream: IO[str], file: Path) -> Iterator[tuple[str, str | None, object]]:
    ranks = _Ranks()
    for number, line in enumerate(stream, 1):
        cells = line.split()
        if len(cells) == 6:
            ranks.add(cells[0], cells[3], cells[4])
            yield cells[0], cells[2], "" if "_" in cells[4] else cells[4]
        elif cells:
            raise EvaluationError(
                f"{file}:{number}: {len(cells)} columns, where a run in TREC's form has six: "
                "query Q0 chunk rank score tag"
            )
    ranks.check(file)


class _Ranks:
    """Whether ranks and scores say the same; only the scores count, so they must be the right ones.

    Looks at lines that follow each other in one query.
    """

    def __init__(self) -> None:
        self._before: tuple[str, float, float] = ("", 0.0, 0.0)
        self._signs = {-1: 0, 0: 0, 1: 0}

    def add(self, query: str, rank: str, score: str) -> None:
        try:
            now = (query, float(rank), float(score))
        except ValueError:
            return
        before, self._before = self._before, now
        if before[0] == query and before[1] != now[1]:
            product = (now[1] - before[1]) * (now[2] - before[2])
            self._signs[(product > 0) - (product < 0)] += 1

    def check(self, file: Path) -> None:
        against, equal, agree = self._signs[1], self._signs[0], self._signs[-1]
        if against > agree:
            raise EvaluationError(
                f"{file}: in {against:,} of {against + equal + agree:,} neighbouring lines the "
                "ranks contradict the scores, of which higher is better: are they distances, or "
                "are the columns rank and score swapped?"
            )
        if equal >= TIES and not agree:
            raise EvaluationError(
                f"{file}: all scores of a query are equal, so they rank nothing; ranks are not "
                "looked at: are the columns rank and score swapped?"
            )


def _gathered(
    rows: Iterable[tuple[str, str | None, object]], file: Path
) -> dict[str, dict[str, float]]:
    run: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}  # one string for each chunk, however many queries found it
    twice = bad = 0
    for query, chunk, score in rows:
        scores = run.setdefault(query, {})
        if chunk is None:
            continue
        value = _number(score)
        twice += chunk in scores
        bad += not isfinite(value)
        scores[names.setdefault(chunk, chunk)] = value
    if bad or twice:
        said = [f"{bad:,} scores are no finite number"] if bad else []
        said += [f"{twice:,} chunks are named twice for one query"] if twice else []
        raise EvaluationError(f"{file}: {' and '.join(said)}")
    return run


def _number(score: object) -> float:
    """A score; not a number if it is none, such as `true`, or text in JSON."""
    try:
        return float("nan") if isinstance(score, bool) else float(score)  # type: ignore
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _no_space(file: Path, *ids: str) -> None:
    for name in ids:
        if not name or len(name.split()) != 1:
            raise EvaluationError(
                f"{file}: the id {name!r} holds white space, which TREC's form cannot hold: name "
                "the file .json for BEIR's form"
            )
