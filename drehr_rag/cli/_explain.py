"""Why a hit was found: by which terms, and what each side made of it."""

from collections.abc import Iterator

from rich.text import Text

from drehr_rag.cli._show import plain
from drehr_rag.types import Hit

SIDES = {
    "dense": "nearness of meaning (cosine)",
    "lexical": "the query's own words (BM25)",
    "expanded": "its words and terms together (0 to 1)",
}
"""Stages of `Hit.scores`, in words."""


def explained(hit: Hit) -> Iterator[Text]:
    """A line for each term that stands in the passage, then one for each side's score."""
    for match in hit.matches:
        line = Text.assemble("    ", (f"“{plain(match.term)}”", "green"), f" is {_is(match.kind)} ")
        line.append(f"of “{plain(match.of)}”; a mention is worth {match.weight:.2f}")
        if match.near:
            line.append(f", which is taken for the nearest name, “{plain(match.near)}”")
        if match.concept:
            line.append(f"  {plain(match.concept)}", "dim")
        yield line
    for stage, score in hit.scores.items():
        yield Text(f"    {score:.3f}  {SIDES.get(stage, stage)}", "dim")


def _is(kind: str) -> str:
    same = {"string": "another spelling", "related": "a relative"}
    return same.get(kind, f"an {kind}" if kind[0] in "aeiou" else f"a {kind}")
