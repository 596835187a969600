"""`benchmarks.training_loss` runs from end to end at a small size, and both forms agree."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["released", "wang2019"])
def test_a_quick_run(variant, tmp_path):
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "benchmarks.training_loss", "--quick", "--variant", variant]
    run = subprocess.run(
        [*command, "--markdown", str(page)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert f"Training loss, {variant}: 8 chunks" in page.read_text()
    assert "Values equal" in page.read_text()
