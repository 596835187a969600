"""What the integration tests share: the command line, run in this process."""

import sys

import pytest

from drehr_rag import cli


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command line; returns exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["drehr-rag", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run
