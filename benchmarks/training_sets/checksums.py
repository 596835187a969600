"""Whether what was made is what was frozen."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.training_sets.files import put
from drehr_rag._files import checksum

FROZEN = Path(__file__).with_name("checksums.txt")
"""As `sha256sum` prints and checks them: SHA-256, two spaces, file."""


def write_checksums(folder: Path, names: Iterable[str]) -> Path:
    """Write `checksums.txt` beside the sets of these names."""
    files = sorted(path for name in names for path in (folder / name).iterdir())
    lines = [f"{checksum(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    put(folder / FROZEN.name, "".join(lines).encode())
    return folder / FROZEN.name


def differences(made: Path, frozen: Path = FROZEN) -> list[str]:
    """The files whose checksums differ, or that only one of two lists names."""
    ours, theirs = _read(made), _read(frozen)
    return sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n))


def _read(path: Path) -> dict[str, str]:
    rows = (line.split("  ", 1) for line in path.read_text().splitlines())
    return {name: digest for digest, name in rows}
