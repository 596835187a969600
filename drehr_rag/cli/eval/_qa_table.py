"""What a run over a set of questions scored, on the terminal."""

from typing import Any

from rich.table import Table

from drehr_rag.cli._show import console, plain
from drehr_rag.eval.qa.tables import rows, title


def show_report(found: dict[str, Any]) -> None:
    """The table, a section for each kind of measure."""
    table = Table("", "measure", "value", "over", title=plain(title(found)), title_justify="left")
    table.columns[2].justify = "right"
    before = None
    for row in rows(found):
        if before not in (None, row.group):
            table.add_section()
        table.add_row("" if row.group == before else plain(row.group), *map(plain, row[1:]))
        before = row.group
    console().print(table)
