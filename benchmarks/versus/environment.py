"""The environment that the competitors run in: their exact versions, apart from ours."""

import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path

PINS = Path(__file__).parents[1] / "requirements-versus.txt"


def competitors(work: Path, *, build: bool) -> Path | None:
    """Python of the environment in the work folder; made if it is not there and may be made."""
    folder = work / "venv"
    python, stamp = folder / "bin" / "python", folder / "made-of"
    wanted = sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    if not build:
        return None
    print(f"installing the competitors in {folder}: minutes, about 2 GB", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*install, "--requirement", str(PINS)], check=True)
    stamp.write_text(wanted)
    return python
