"""Ray's own processes: join those of a cluster, or start some on this machine, and end them."""

import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from drehr_rag._extras import require
from drehr_rag.errors import BadArgument, EngineError

logger = logging.getLogger(__name__)

OBJECT_STORE = 64 * 2**20
"""Bytes of shared memory a worker, and as much again for reading: each holds two blocks at most,
and a block with its vectors takes 3 MB at 384 dimensions, 20 MB at 4,096."""

SMALLEST = 128 * 2**20
"""Bytes below which Ray's object store is of no use."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: listen on the loopback alone
    "RAY_AUTH_MODE": "token",  # other users of this machine must not send it code
}
"""Ray reads these when it is imported."""

QUIETER: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
"""What is worth hearing of the workers comes with their results; Ray would print all they say."""


def import_ray() -> ModuleType:
    """Ray with Ray Data.

    Raises:
        MissingExtra: It is not installed.
    """
    if sys.modules.get("ray") is None and not os.environ.get("RAY_ADDRESS"):
        for name, value in {**QUIET, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
            os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = require("ray", extra="ray")
    require("ray.data", extra="ray")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # "bars disabled"
    return ray


def start(ray: ModuleType, *, cpus: int, gpus: float, workers: int) -> Callable[[], None]:
    """Join the cluster of `RAY_ADDRESS`, or start Ray on this machine.

    On this machine it listens on the loopback alone and takes a token that only this process
    knows; its files (logs, and notes if it must swap) lie in a folder that only its owner reads.

    Args:
        ray: From `import_ray`.
        cpus: Processors of all workers together.
        gpus: GPUs of all workers together.
        workers: How many.

    Returns:
        How to leave it: what was started is ended, what was joined goes on.

    Raises:
        BadArgument: This machine has fewer GPUs.
        EngineError: The cluster does not answer.
    """
    if ray.is_initialized():
        return lambda: None
    if address := os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(address=address, **QUIETER)
        except (ConnectionError, RuntimeError, ValueError) as problem:
            raise EngineError(
                f"no Ray cluster lets this process in at RAY_ADDRESS={address} "
                f"({type(problem).__name__}): is it up, and are RAY_AUTH_MODE and its token set "
                "here as there?"
            ) from problem
        return ray.shutdown  # type: ignore[no-any-return]
    if not QUIET.keys() <= os.environ.keys():
        logger.warning(
            "ray was imported before this engine was loaded, so it listens on the network, behind "
            "its token: load the engine first"
        )
    folder = _own_folder()

    def end() -> None:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=max(SMALLEST, OBJECT_STORE * (workers + 1)),
            _temp_dir=f"{folder}/ray",  # Ray lets everybody into its own folder
            **QUIETER,
        )
        there = ray.cluster_resources().get("GPU", 0)
        if there < gpus:
            raise BadArgument(f"the workers ask for {gpus:g} GPUs and this machine has {there:g}")
    except BaseException:
        end()
        raise
    return end


def _own_folder() -> str:
    """A new one that only its owner reads; what a killed run has left behind is removed."""
    # paths of sockets are 107 characters at most, so no long TMPDIR
    base = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    for old in base.glob("drehr-ray-*-*"):
        if not _alive(old.name.split("-")[2]):
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"drehr-ray-{os.getpid()}-", dir=base)


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:  # somebody else's
        return True
    return True
