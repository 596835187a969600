"""Find a plug-in by its file name, or by a third party's entry point.

A folder such as `drehr_rag.encoders` is a set of plug-ins: `encoders/offline.py` is the plug-in
`offline`. Files that start with an underscore, and those in `not_plugins`, are not. Another
distribution adds one by an entry point in the group named like the folder:

```toml
[project.entry-points."drehr_rag.encoders"]
my-encoder = "my_package.my_encoder"
```
"""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from inspect import Parameter, signature
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from drehr_rag.errors import BadArgument, UnknownName


def names(folder: str) -> list[str]:
    """Names of all plug-ins of a folder, e.g. `names("drehr_rag.encoders")`, sorted."""
    return _names(folder, entry_points(group=folder))


def _names(folder: str, points: EntryPoints) -> list[str]:
    own = [m.name for m in iter_modules(import_module(folder).__path__) if m.name[0] != "_"]
    foreign = [point.name for point in points]
    return sorted({name.replace("_", "-") for name in own + foreign})


def find(folder: str, name: str) -> ModuleType:
    """Import the plug-in `name` of a folder.

    Raises:
        UnknownName: There is none of this name; the message lists those there are.
    """
    wanted = str(name).replace("_", "-")
    points = entry_points(group=folder)  # reads a file of every installed package
    if wanted not in (known := _names(folder, points)):
        close = get_close_matches(wanted, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        kind = folder.rsplit(".", 1)[-1].removesuffix("s")
        raise UnknownName(f"no {kind} is called {name!r}: there are {', '.join(known)}.{hint}")
    for point in points:
        if point.name.replace("_", "-") == wanted:
            module = point.load()
            if isinstance(module, ModuleType):
                return module
    return import_module(f"{folder}.{wanted.replace('-', '_')}")


def check_options(
    what: str,
    load: Callable[..., Any],
    options: Collection[str],
    *,
    given: Collection[str] = (),
) -> None:
    """Refuse a user's options that a plug-in does not take, or that it lacks.

    Args:
        what: The plug-in, for the message: "the engine ray".
        load: What makes it.
        options: Names of those that the user gave.
        given: Parameters that are not the user's: they are passed along by the caller.

    Raises:
        UnknownName: It has no such option.
        BadArgument: An option is missing.
    """
    known = {n: p for n, p in signature(load).parameters.items() if n not in given}
    own = [n for n, p in known.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if len(own) == len(known) and (wrong := sorted(set(options) - set(own))):
        takes = f"takes only {', '.join(own)}" if own else "has no options"
        raise UnknownName(f"{what} {takes}, not {', '.join(wrong)}")
    needed = [n for n in own if known[n].default is Parameter.empty and n not in options]
    if needed:
        raise BadArgument(f"{what} needs {' and '.join(needed)}")
