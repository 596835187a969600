"""Results side by side: means by setting, measure, query type and match type."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.results import Result
from drehr_rag.eval.scoring import ALL, Cell, mean


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table.

    Attributes:
        setting: `multi-patient` or `single-patient`.
        group: `all`, a query type, or a match type.
        kind: `all`, `type` or `match`.
        measure: By its usual name (MRR, Recall@100, …).
        items: Queries, or pairs of query and note, that the means are over.
        means: One a result, None where it has no such cell.
    """

    setting: str
    kind: str
    group: str
    measure: str
    items: int
    means: tuple[float | None, ...]


def lines(results: Sequence[Result]) -> list[Line]:
    """Every mean of these results of one benchmark.

    Raises:
        EvaluationError: They are of several benchmarks, or there is none.
    """
    names = list(dict.fromkeys(result.benchmark for result in results))
    if len(names) != 1:
        raise EvaluationError(f"a table is of one benchmark, not of {len(names)}: {names}")
    return list(_lines(results))


def _lines(results: Sequence[Result]) -> Iterator[Line]:
    types = list(dict.fromkeys(q.type for r in results for q in r.queries.values() if q.type))
    cells = dict.fromkeys(cell for result in results for cell in result.scores)
    for cell in cells:
        if cell.match != ALL:
            yield _line(results, cell, "match", cell.match, None)
            continue
        yield _line(results, cell, ALL, ALL, None)
        for name in types if len(types) > 1 else ():
            yield _line(results, cell, "type", name, name)


def _line(results: Sequence[Result], cell: Cell, kind: str, group: str, type: str | None) -> Line:
    values = [result.items(cell, type) for result in results]
    means = tuple(mean(found) if found else None for found in values)
    return Line(cell.setting, kind, group, cell.shown, max(map(len, values)), means)


@dataclass(frozen=True, slots=True)
class Grid:
    """The same means with a column for each group.

    Attributes:
        groups: `all`, then query types, then match types.
        rows: Setting, measure, system, and its means in the order of the groups; a row of counts
            before the first of each setting has no system.
    """

    groups: tuple[str, ...]
    rows: tuple[tuple[str, str, str, tuple[str, ...]], ...]


def grid(results: Sequence[Result]) -> Grid:
    """A row for each setting, measure and system; the best of several is marked `*`."""
    found = lines(results)
    groups = tuple(dict.fromkeys(_group(line) for line in found))
    by_place = {(line.setting, line.measure, _group(line)): line for line in found}
    rows: list[tuple[str, str, str, tuple[str, ...]]] = []
    settings: set[str] = set()
    for setting, measure in dict.fromkeys((line.setting, line.measure) for line in found):
        held = [by_place.get((setting, measure, group)) for group in groups]
        if setting not in settings:
            settings.add(setting)
            what = "queries" if setting == "multi-patient" else "pairs"
            rows.append((setting, what, "", tuple(f"{h.items:,}" if h else "" for h in held)))
        for place, result in enumerate(results):
            figures = tuple(_figure(line, place) for line in held)
            rows.append((setting, measure, result.name, figures))
    return Grid(groups, tuple(rows))


def _group(line: Line) -> str:
    return line.group if line.kind == ALL else f"{line.kind} {line.group}"


def _figure(line: Line | None, place: int) -> str:
    if line is None or (value := line.means[place]) is None:
        return ""
    known = [mean for mean in line.means if mean is not None]
    text = f"{value:.3f}".removeprefix("0")
    return text + ("*" if len(known) > 1 and value == max(known) else "")


def markdown(results: Sequence[Result]) -> str:
    """The grid as Markdown."""
    table = grid(results)
    rows = [["setting", "measure", "system", *table.groups]]
    rows.append(["---"] * 3 + ["---:"] * len(table.groups))
    rows += [
        [setting, measure, system, *figures] for setting, measure, system, figures in table.rows
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
