"""UMLS Metathesaurus releases: MRCONSO, MRREL and MRSTY in Rich Release Format.

Columns as in the UMLS Reference Manual. MRREL's REL and RELA say what CUI2 is to CUI1: with REL
`PAR`, or RELA `inverse_isa`, CUI2 is the broader one.
"""

from collections.abc import Iterator
from pathlib import Path

from drehr_rag.errors import BadArgument, GraphError
from drehr_rag.kg._records import Record, Unread
from drehr_rag.kg.loaders._open import reading

LICENCE = "UMLS Metathesaurus licence; each source's own terms hold too"

CONSO, REL, STY = "MRCONSO.RRF", "MRREL.RRF", "MRSTY.RRF"
COLUMNS = {CONSO: 18, REL: 16, STY: 6}
OTHER = ("RO", "RL", "RQ", "SY")
"""REL of edges that are kept as related; sibling, qualifier and deleted ones are not."""

Rows = Iterator[list[str] | Unread]


def recognise(path: Path, head: str) -> bool:
    """A folder with MRCONSO.RRF, or that file."""
    return _find(path, CONSO) is not None


def load(
    path: Path,
    *,
    languages: str = "ENG",
    sources: str = "",
    suppressed: str = "no",
    broader: str = "PAR",
) -> Iterator[Record | Unread]:
    """Names, then semantic types, then relations, for the concepts that have a name.

    Args:
        path: The release's META folder; files may be gzipped.
        languages: LAT of the names to take, comma-separated.
        sources: SAB of the names and relations to take, e.g. `SNOMEDCT_US,MSH`; all if empty.
        suppressed: `yes` takes names and relations that are marked as suppressible as well.
        broader: `PAR`: is_a from parent and child edges; `PAR,RB`: broader and narrower too.

    Raises:
        GraphError: MRCONSO.RRF is missing, or is not of this layout.
        BadArgument: An option that cannot be meant.
    """
    if suppressed not in ("yes", "no") or broader not in ("PAR", "PAR,RB"):
        raise BadArgument("suppressed is yes or no, broader is PAR or PAR,RB")
    if (names := _find(path, CONSO)) is None:
        raise GraphError(f"{path} holds no {CONSO}: give the release's META folder")
    wanted = _Wanted(_set(languages), _set(sources), suppressed == "yes", broader == "PAR,RB")
    return _records(path, names, wanted)


class _Wanted:
    """What is asked for."""

    def __init__(
        self, languages: set[str], sources: set[str], suppressed: bool, broad: bool
    ) -> None:
        self.languages, self.sources, self.suppressed = languages, sources, suppressed
        self.up = {"PAR", "RB"} if broad else {"PAR"}
        self.down = {"CHD", "RN"} if broad else {"CHD"}

    def takes(self, source: str, suppress: str) -> bool:
        """Whether names and relations of this source are asked for."""
        return (not self.sources or source in self.sources) and (
            self.suppressed or suppress not in {"O", "E", "Y"}
        )


def _records(path: Path, names: Path, wanted: _Wanted) -> Iterator[Record | Unread]:
    named: set[str] = set()
    for row in _rows(names, CONSO):
        if isinstance(row, Unread):
            yield row
        elif row[1] in wanted.languages and wanted.takes(row[11], row[16]):
            named.add(row[0])
            best = row[2] == "P" and row[4] == "PF" and row[6] == "Y"
            yield Record(row[0], (row[14],), preferred=row[14] if best else None)
    for row in _rows(_find(path, STY), STY):
        if isinstance(row, Unread):
            yield row
        elif row[0] in named:
            yield Record(row[0], types=(row[3],))
    for row in _rows(_find(path, REL), REL):
        if isinstance(row, Unread):
            yield row
        elif {row[0], row[4]} <= named and wanted.takes(row[10], row[14]):
            yield from _edge(row[0], row[3], row[4], row[7], wanted)


def _edge(one: str, rel: str, two: str, rela: str, wanted: _Wanted) -> Iterator[Record]:
    if one == two:
        return
    if rel in wanted.up or rela == "inverse_isa":
        yield Record(one, parents=(two,))
    elif rel in wanted.down or rela == "isa":
        yield Record(two, parents=(one,))
    elif rel in OTHER:
        yield Record(two, related=((rela or rel, one),))


def _rows(path: Path | None, kind: str) -> Rows:
    if path is None:  # a subset without types or relations is a graph all the same
        return
    sound = 0
    with reading(path) as file:
        for number, line in enumerate(file, 1):
            row = line.rstrip("\r\n").split("|")
            if len(row) < COLUMNS[kind]:
                yield Unread(f"{path.name}: row {number}", f"{len(row)} columns")
            else:
                sound += 1
                yield row
    if not sound:
        raise GraphError(f"{path} has no row of {COLUMNS[kind]} columns between |: is it RRF?")


def _find(path: Path, name: str) -> Path | None:
    folder = path if path.is_dir() else path.parent
    if path.is_file() and not path.name.startswith(CONSO):
        return None
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _set(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}
