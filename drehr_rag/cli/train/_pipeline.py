"""A pipeline: commands of `drehr-rag` in a TOML file; `_done` knows what is done.

```toml
[names]
data = "../shared/data"

[[step]]
run = "train build-stage1"        # the command; what follows are its options
notes = ["{data}/notes/mtsamples_shared.jsonl.gz"]
kg = "work/kg"
output = "work/stage1.jsonl.gz"

[[step]]
run = "kg build"
arguments = ["work/kg", "{data}/kg/doid_2015.obo.gz"]   # what stands without an option
```
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drehr_rag._files import opened
from drehr_rag.errors import TrainingError

PLACES = ("output", "out", "save_run")
"""Options that name what a step makes; `arguments[0]` does where there is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        name: What it is called in messages: its number and command.
        words: The command, e.g. `("train", "build-stage1")`.
        arguments: What follows it on a command line.
        makes: What it writes, where that can be seen.
    """

    name: str
    words: tuple[str, ...]
    arguments: tuple[str, ...]
    makes: Path | None


def read_pipeline(file: Path) -> list[Step]:
    """The steps of a file, in order.

    Raises:
        TrainingError: It is no TOML, or a step is none.
    """
    with opened(file, error=TrainingError) as stream:
        try:
            held = tomllib.loads(stream.read())
        except tomllib.TOMLDecodeError as problem:
            raise TrainingError(f"{file} is not TOML: {problem}") from None
    if wrong := sorted(set(held) - {"names", "step"}):
        raise TrainingError(f"{file} has {', '.join(wrong)}: there are [names] and [[step]]")
    names, steps = held.get("names", {}), held.get("step", [])
    if not isinstance(steps, list) or not steps:
        raise TrainingError(f"{file} has no [[step]]")
    if not isinstance(names, dict) or not all(isinstance(v, str) for v in names.values()):
        raise TrainingError(f"{file}: [names] holds texts")
    return [_step(file, number, table, names) for number, table in enumerate(steps, 1)]


def _step(file: Path, number: int, table: Any, names: Mapping[str, str]) -> Step:
    run = table.get("run") if isinstance(table, dict) else None
    if not isinstance(run, str) or not run.split():
        raise TrainingError(f'{file}: step {number} does not say what to run (run = "kg build")')
    where = f"{file}: step {number} ({run})"
    filled = {key: _filled(value, names, where) for key, value in table.items() if key != "run"}
    plain = filled.pop("arguments", [])
    words = [*_options(filled), *(map(str, plain) if isinstance(plain, list) else [str(plain)])]
    place = next((filled[key] for key in PLACES if key in filled), None)
    if place is None and words and not filled:
        place = words[0]
    makes = Path(place) if isinstance(place, str) else None
    return Step(f"step {number} ({run})", tuple(run.split()), tuple(words), makes)


def _filled(value: Any, names: Mapping[str, str], where: str) -> Any:
    """Names in braces replaced; `{{` stands for a brace."""
    if isinstance(value, list):
        return [_filled(one, names, where) for one in value]
    if isinstance(value, dict):
        raise TrainingError(f"{where}: options are texts, numbers, true, false, or lists of them")
    if not isinstance(value, str):
        return value
    try:
        return value.format_map(names)
    except (KeyError, ValueError, IndexError, AttributeError):
        known = ", ".join(names) or "none"
        raise TrainingError(f"{where}: a name in braces is not in [names] ({known})") from None


def _options(filled: Mapping[str, Any]) -> Iterator[str]:
    """`top_k = 3` as `--top-k 3`, true as the option alone, false as `--no-…`."""
    for key, value in filled.items():
        option = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            yield option if value else "--no-" + option[2:]
            continue
        for one in value if isinstance(value, list) else [value]:
            yield from (option, str(one))
