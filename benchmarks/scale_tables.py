"""The figures of `benchmarks.scale` as tables, a column for each size."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.tables import Table

MB = 1e6
Facts = Mapping[str, Any]


def tables(facts: Facts) -> list[Table]:
    """Likeness, cost, searches, look-ups and recall; a size without a step has empty cells."""
    sizes = sorted((key for key in facts if key.isdigit() and key != "0"), key=int)
    measured = {f"{int(size):,}": facts[size] for size in sizes}
    return [
        _likeness(facts["0"]["likeness"]),
        _cost(measured),
        _times("Search, p50 / p95 in milliseconds", measured, "times"),
        _times("Search for 10 patients among all, p50 / p95 in milliseconds", measured, "patients"),
        _times("Look-ups, p50 / p95 in milliseconds", measured, "look-ups"),
        _recall(measured),
    ]


def _likeness(found: Facts) -> Table:
    table = Table("Made-up vectors beside real ones", ("", "real", "made up"))
    for name in found["real"]:
        table.add(name, found["real"][name], found["made"][name])
    table.note = (
        f"{found['compared']:,} of each; percentiles 5, 25, 50, 75, 95; {found['encoded']:,} real "
        f"chunks encoded; clusters by Zipf with exponent {found['zipf']:.2f} as in the real ones."
    )
    return table


def _cost(measured: Mapping[str, Facts]) -> Table:
    table = Table("Cost", ("", *measured))

    def add(name: str, cell: Callable[[Facts], str]) -> None:
        table.add(name, *(_or_none(cell, facts) for facts in measured.values()))

    add("written anew, chunks", lambda f: f"{f['write']['chunks']:,}")
    add("chunks/s into the store", lambda f: f"{f['write']['chunks'] / f['write']['seconds']:,.0f}")
    add("memory when they are written, MB", lambda f: _memory(f["write"]["after"]))
    add("building the graph, s", lambda f: f"{f['optimise']['seconds']:,.0f}")
    add("… peak memory of its process, MB", lambda f: f"{f['optimise']['peak'] / MB:,.0f}")
    add("… segments", lambda f: str(f["optimise"]["segments"]))
    add("on disk, bytes a chunk", lambda f: _a_chunk(f, "all"))
    for part in _parts(measured):
        add(f"… {part}", lambda f, part=part: _a_chunk(f, part))  # type: ignore[misc]
    add("opening, s", lambda f: f"{f['search']['open']:.2f}")
    add("memory before opening, MB", lambda f: _memory(f["search"]["before"]))
    add("memory after opening, MB", lambda f: _memory(f["search"]["opened"]))
    add("memory after searches, MB", lambda f: _memory(f["search"]["searched"]))
    add("memory after look-ups, MB", lambda f: _memory(f["search"]["looked up"]))
    add("deleting one patient, s", lambda f: f"{f['change']['seconds']['delete']:.2f}")
    add("optimise after a small change, s",
        lambda f: f"{f['change']['seconds']['optimise again']:.1f}")  # fmt: skip
    add("closing after it, s", lambda f: f"{f['change']['seconds']['close']:.2f}")
    add("numpy, one thread, a query in a batch, ms", lambda f: f"{f['search']['numpy']:.1f}")
    steps = ("write", "optimise", "search")
    add(f"load of the machine: {', '.join(steps)}",
        lambda f: ", ".join(str(f[step]["load"]) for step in steps))  # fmt: skip
    table.note = (
        "Sizes are cumulative. Memory: all / the process's own; the rest are pages of files, which "
        "the system takes back when it needs them. Disk after the graph is built."
    )
    return table


def _times(title: str, measured: Mapping[str, Facts], part: str) -> Table:
    table = Table(title, ("", *measured))
    names = {name: None for f in measured.values() for name in f.get("search", {}).get(part, {})}
    for name in names:
        table.add(name, *(_or_none(_pair, f, part, name) for f in measured.values()))
    return table


def _recall(measured: Mapping[str, Facts]) -> Table:
    table = Table("Recall of dense search against exact, mean (worst tenth)", ("", *measured))
    names = {n: None for f in measured.values() for n in f.get("search", {}).get("recall", {})}
    for name in names:
        table.add(f"{name} best", *(_or_none(_share, f, name) for f in measured.values()))
    return table


def _pair(facts: Facts, part: str, name: str) -> str:
    times = facts["search"][part][name]
    return f"{times['p50']:.2f} / {times['p95']:.2f}"


def _share(facts: Facts, name: str) -> str:
    found = facts["search"]["recall"][name]
    return f"{found['mean']:.3f} ({found['p10']:.2f})"


def _parts(measured: Mapping[str, Facts]) -> list[str]:
    """What takes most of the disk, in the largest store."""
    disk = [facts["optimise"]["disk"] for facts in measured.values() if "optimise" in facts]
    if not disk:
        return []
    parts = {name: size for name, size in disk[-1].items() if name != "all"}
    return sorted(parts, key=lambda name: -parts[name])[:6]


def _a_chunk(facts: Facts, part: str) -> str:
    size = facts["search"]["info"]["chunks"]
    return f"{facts['optimise']['disk'].get(part, 0) / size:,.0f}"


def _memory(held: Mapping[str, int]) -> str:
    return f"{held['all'] / MB:,.0f} / {held['own'] / MB:,.0f}"


def _or_none(cell: Callable[..., str], *arguments: Any) -> str | None:
    """The cell; nothing where the step was not done."""
    try:
        return cell(*arguments)
    except (KeyError, ZeroDivisionError):
        return None
