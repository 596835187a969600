"""What the figures were measured on: machine, versions, day and command."""

import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""What decides the speed of bfloat16 on a processor."""

PACKAGES = ("drehr-rag", "torch", "transformers", "sentence-transformers", "qdrant-edge-py")


def describe(module: str = "benchmarks.main_job") -> dict[str, str]:
    """Machine, versions, date and command, in words; `module` is what was run."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    flags = set((re.search(r"^flags\s*:\s*(.+)$", info, re.MULTILINE) or ["", ""])[1].split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    have = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in FLAGS)
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{name[1] if name else platform.processor() or 'unknown processor'}, "
        f"{cores} cores ({have}), {memory:.0f} GiB RAM, {platform.system()}",
        "versions": f"Python {platform.python_version()}, {versions}",
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
    }
