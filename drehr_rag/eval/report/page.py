"""Results to one HTML page that needs nothing else: no network, no library, no other file."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from drehr_rag.eval._files import written
from drehr_rag.eval.comparing.means import check_together
from drehr_rag.eval.depth import ranks
from drehr_rag.eval.passages import Texts
from drehr_rag.eval.report.figures import figures
from drehr_rag.eval.report.limits import SMALLER
from drehr_rag.eval.report.ranked import ranked_queries
from drehr_rag.eval.results import Result

SCRIPTS = ("dom.js", "tables.js", "bars.js", "depth.js", "latency.js", "queries.js", "main.js")
"""In the order in which they are put into the page's one script."""

LARGEST = 15_000_000
"""Bytes of a page that a browser opens without a wait, and a mail carries."""


def write_page(
    results: Sequence[Result],
    file: str | Path,
    *,
    texts: Texts | None = None,
    largest: int = LARGEST,
    seed: int = 0,
) -> list[str]:
    """Write the page.

    Args:
        results: Of the same data; the first is what the others are compared with.
        file: Where; a page that is there is replaced.
        texts: Chunk ids → text, only if passages' text (note text) may stand in the page.
        largest: Bytes; of a larger page rankings, judgments and text are cut until it fits.
        seed: Of intervals and tests.

    Returns:
        What is in the page of each query, and what was cut, as the page itself says it.

    Raises:
        EvaluationError: The results are not of the same data.
    """
    check_together(results)
    ranked = [ranks(result) for result in results]
    above = figures(results, ranked, seed)
    page, cuts = "", []
    for limits in SMALLER:
        below = ranked_queries(results, ranked, limits, texts)
        page, cuts = render({**above, **below}), below["cuts"]
        if len(page.encode()) <= largest:
            break
    with written(Path(file)) as stream:
        stream.write(page)
    return cuts


def render(data: dict[str, Any]) -> str:
    """The page: template, style, script and data in one text.

    The data stand in a block that is no script. Nothing of them can end that block, since `<` is
    escaped; the script puts them into the page as text only. Should that ever fail, the page's
    policy allows its own script and style, by their hashes, and nothing from any network.
    """
    style, script = _asset("style.css"), "\n".join(map(_asset, SCRIPTS))
    parts = {
        "policy": (
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "title": escape(f"{data['benchmark']}: evaluation"),
        "style": style,
        "data": embedded(data),
        "script": script,
    }
    head, *rest = _asset("template.html").split("{{")
    filled = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        filled += [parts[name.strip()], after]
    return "".join(filled)


def embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in, nor open a comment there."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
