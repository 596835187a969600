"""Where a benchmark's tables go: the terminal, a file of all figures, a block of a page."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.tables import Table, write_block


def publish(
    title: str,
    tables: Sequence[Table],
    facts: Mapping[str, Any],
    *,
    block: str,
    by: str,
    options: argparse.Namespace,
    few: str,
    versions: str = "",
) -> None:
    """Print the tables under what they were measured on, and write what was asked for.

    Args:
        title: Heading of the block in the page.
        tables: What was measured.
        facts: All figures by the benchmark's name, for `--json`.
        block: The block's name in the page.
        by: The module that was run.
        options: Of the command line: `quick`, `json`, `markdown`.
        few: What a quick run measures too little of.
        versions: Of packages besides the usual ones.
    """
    stamp = machine.describe(by)
    stamp["versions"] += versions
    lines = [f"{stamp['date']}: `{stamp['command']}`", stamp["machine"], stamp["versions"]]
    if options.quick:
        lines.insert(0, f"QUICK RUN on {few}: the figures mean nothing.")
    out = Console(width=150)
    for line in lines:
        out.print(line, markup=False)
    for table in tables:
        table.title += " (quick)" if options.quick else ""
        out.print()
        table.show(out)
    if options.json:
        content = {"quick": options.quick, **stamp, **facts}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        head = "\n".join(f"- {line}" for line in lines)
        text = "\n\n".join([f"## {title}", head, *(table.markdown() for table in tables)])
        write_block(options.markdown, block, text, by=by)
