"""The results in a folder."""

from pathlib import Path

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.comparing.means import check_together
from drehr_rag.eval.results import Result


def find_results(folder: str | Path) -> list[Result]:
    """The result that a folder is, or those directly in it, by their folders' names.

    Raises:
        EvaluationError: There is none, or they are not of the same data.
    """
    place = Path(folder)
    if (place / "manifest.json").is_file():
        return [Result.load(place)]
    results = [Result.load(file.parent) for file in sorted(place.glob("*/manifest.json"))]
    if not results:
        raise EvaluationError(f"{place} is no result and holds none (no manifest.json)")
    check_together(results)
    return results
