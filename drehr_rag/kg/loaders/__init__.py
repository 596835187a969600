"""Files to records: one module a format, each with `LICENCE`, `recognise` and `load`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

from drehr_rag._registry import find, names
from drehr_rag.errors import BadArgument, GraphError, UnknownName
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._open import head

ORDER = ("umls", "bios", "obographs", "obo", "table")
"""Formats are tried from the most to the least particular; others come first."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A source that is being read.

    Attributes:
        loader: The loader's name.
        licence: As told, else as the loader knows it.
        files: What is read.
        records: To be taken once.
    """

    loader: str
    licence: str
    files: list[Path]
    records: Iterator[Record | Unread]


def parse(text: str) -> tuple[Path, str | None, dict[str, str]]:
    """Path, loader and options of `[LOADER:]PATH[?OPTION=VALUE&…]`."""
    place, _, query = text.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise BadArgument(f"{text!r} is not PATH?OPTION=VALUE&OPTION=VALUE") from None
    name, colon, rest = place.partition(":")
    if colon and name.replace("_", "-") in names(__name__):
        return Path(rest), name, options
    return Path(place), None, options


def recognise(path: Path) -> str:
    """The name of the format that a file or folder is in.

    Raises:
        UnknownName: No loader knows it.
    """
    start = "" if path.is_dir() else head(path)
    known = names(__name__)
    for name in [n for n in known if n not in ORDER] + [n for n in ORDER if n in known]:
        if find(__name__, name).recognise(path, start):
            return name
    raise UnknownName(
        f"cannot tell the format of {path}: put one of {', '.join(known)} before it, "
        f"as in {known[0]}:{path.name}"
    )


def load(path: Path, loader: str | None = None, **options: str) -> Loaded:
    """Begin to read a source.

    Args:
        path: A file or folder.
        loader: Its format; without it the format is recognised.
        options: `licence`, for the manifest; `type`, a semantic type for all its concepts; others
            for the loader.

    Raises:
        GraphError: There is no such file.
        UnknownName: No loader, or no option of it, has this name.
    """
    if not path.exists():
        raise GraphError(f"there is no file or folder {path}")
    name = loader or recognise(path)
    module = find(__name__, name)
    licence = options.pop("licence", "") or module.LICENCE
    kind = options.pop("type", "")
    try:
        records = module.load(path, **options)
    except TypeError as problem:
        if "keyword argument" not in str(problem):
            raise
        raise UnknownName(f"the {name} loader does not take that: {problem}") from None
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    return Loaded(name, licence, files, _typed(records, kind) if kind else records)


def _typed(records: Iterator[Record | Unread], kind: str) -> Iterator[Record | Unread]:
    for record in records:
        if isinstance(record, Record) and (record.terms or record.preferred):
            yield replace(record, types=(*record.types, kind))
        else:
            yield record
