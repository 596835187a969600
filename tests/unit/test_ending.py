"""SIGTERM ends a command, wherever it comes; what it leaves behind is removed once."""

import signal
import subprocess
import sys

import pytest

COMMAND = """
import os, signal, sys, time
from drehr_rag import cli

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def careless():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except:
        pass

def command():
    try:
        {ended}
        time.sleep(60)
    finally:
        print("cleaned", flush=True)

cli.app = command
cli.main()
"""


@pytest.mark.parametrize(
    "ended",
    [
        "os.kill(os.getpid(), signal.SIGTERM)",
        "careless()",
        "careless(); careless()",
        "Careless()",
    ],
)
def test_it_ends_though_a_library_swallows_that(ended):
    command = [sys.executable, "-c", COMMAND.format(ended=ended)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 128 + signal.SIGTERM
    assert run.stdout.split() == ["cleaned"]


def test_what_takes_long_to_clean_is_not_disturbed():
    slow = "try:\n            os.kill(os.getpid(), signal.SIGTERM)\n        finally:\n"
    slow += "            time.sleep(0.5); print('slowly')"
    command = [sys.executable, "-c", COMMAND.format(ended=slow)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 128 + signal.SIGTERM
    assert run.stdout.split() == ["slowly", "cleaned"]
