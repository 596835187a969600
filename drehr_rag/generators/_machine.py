"""What this machine has: graphics processors and memory."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_ASK = (
    "nvidia-smi",
    "--query-gpu=memory.total,memory.free,compute_cap",
    "--format=csv,noheader,nounits",
)
_PATIENCE = 30.0
"""Seconds for nvidia-smi: a sleeping driver wakes up in a few."""

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics processor.

    Attributes:
        total: Bytes of memory.
        free: Of these, what nobody uses.
        capability: CUDA's number of what it can, e.g. 8.0; bfloat16 begins there.
    """

    total: int
    free: int
    capability: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What a server may use.

    Attributes:
        gpus: Those that CUDA_VISIBLE_DEVICES lets be seen.
        memory: Bytes of main memory that are available.
    """

    gpus: tuple[Gpu, ...] = ()
    memory: int = 0


def this_machine() -> Machine:
    """What is there now; NVIDIA's processors only."""
    return Machine(_visible(gpus_of(_asked())), _memory())


def gpus_of(said: str) -> tuple[Gpu, ...]:
    """The processors that nvidia-smi lists, one a line; others than numbers are passed over."""
    rows = (re.findall(r"[\d.]+", line) for line in said.splitlines() if line.count(",") == 2)
    return tuple(
        Gpu(int(float(total)) * MIB, int(float(free)) * MIB, float(capability))
        for total, free, capability in (row for row in rows if len(row) == 3)
    )


def _asked() -> str:
    try:
        done = subprocess.run(_ASK, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout


def _visible(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return gpus
    names = [name.strip() for name in wanted.split(",") if name.strip() and name.strip() != "-1"]
    if all(name.isdigit() for name in names):
        return tuple(gpus[int(name)] for name in names if int(name) < len(gpus))
    return gpus[: len(names)]  # by their long names, which are not told apart here


def _memory() -> int:
    """What is available, inside the limit of the container if there is one."""
    limits = [_available()]
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text())
        limits.append(most - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no container, or one without a limit ("max")
    return max(0, min(limits))


def _available() -> int:
    try:
        said = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        said = None
    if said:
        return int(said[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
