"""Sources to a graph in a folder: read, join by mappings, write compactly."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from drehr_rag._files import checksum
from drehr_rag.errors import GraphError
from drehr_rag.kg._files import new_folder, seal
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg._spool import Spool
from drehr_rag.kg._write import write
from drehr_rag.kg.graph import StoredGraph
from drehr_rag.kg.loaders import load, parse

UNREAD = "unread.jsonl"
EVERY = 100_000
"""Records between two calls of `progress`."""

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class Source:
    """One file or folder to build from.

    Attributes:
        path: Where it lies.
        loader: A loader's name; without it the format is recognised.
        options: For the loader, and `licence` for the manifest.
    """

    path: Path
    loader: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: "str | Path | Source") -> "Source":
        """From `[LOADER:]PATH[?OPTION=VALUE&…]`, as on the command line."""
        return text if isinstance(text, Source) else cls(*parse(str(text)))


def build_graph(
    target: str | Path,
    sources: Iterable[str | Path | Source],
    *,
    progress: Progress | None = None,
) -> StoredGraph:
    """Build one graph of all sources, in the place of an older graph if there is one.

    Concepts that a mapping says are the same become one, called as in the earliest source that
    names them. What cannot be used is counted in the manifest, rows with their reasons are kept in
    `unread.jsonl`.

    Args:
        target: Folder to make.
        sources: In order of authority: `doid.obo`, `table:names.tsv?id=code&term=name`, ...
        progress: Called with a source's path and the records read of it so far.

    Raises:
        GraphError: A source cannot be read, or holds nothing; the old graph is then untouched.
        UnknownName: No loader, or no column, has this name.
    """
    place, wanted = Path(target), [Source.of(source) for source in sources]
    if not wanted:
        raise GraphError("a graph needs at least one source, e.g. doid.obo")
    with new_folder(place) as folder, TemporaryFile(dir=folder) as names:
        spool = Spool(names)
        told = [_take(source, spool, folder / UNREAD, progress) for source in wanted]
        names.flush()
        counts = write(spool, names, folder)
        facts: dict[str, Any] = {**counts, "left_out": spool.left_out, "sources": told}
        facts |= {"types": list(spool.types), "relations": list(spool.relations)}
        seal(folder, facts)
    return StoredGraph(place)


def _take(source: Source, spool: Spool, unread: Path, progress: Progress | None) -> dict[str, Any]:
    """Read a source to its end; what the manifest says of it."""
    loaded = load(source.path, source.loader, **source.options)
    told = {"path": source.path.name, "loader": loaded.loader, "licence": loaded.licence}
    count, missed, files = 0, 0, loaded.files
    with unread.open("a", encoding="utf-8") as aside:
        for record in loaded.records:
            if isinstance(record, Unread):
                missed += 1
                aside.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
                continue
            _check(record, source)
            spool.add(record)
            count += 1
            if progress and count % EVERY == 0:
                progress(str(source.path), count)
    if not count:
        raise GraphError(f"{source.path} holds no concept that the {loaded.loader} loader can read")
    if progress:
        progress(str(source.path), count)
    sums = {path.name: checksum(path) for path in files}
    return {**told, "records": count, "unread": missed, "sha256": sums}


def _check(record: Record, source: Source) -> None:
    if not isinstance(record, Record) or not record.concept_id:
        raise GraphError(f"the loader of {source.path} yields a record without a concept id")
