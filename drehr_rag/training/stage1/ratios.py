"""How much of what the graph knows is added to each mention: `syn2 up22 rel22` in the paper."""

import re
from dataclasses import asdict, dataclass

from drehr_rag._arguments import whole
from drehr_rag.errors import BadArgument


@dataclass(frozen=True, slots=True)
class Ratios:
    """At most so many, for each mention; 0 switches a step off.

    The defaults are the paper's (PAPER.md §1, stage 1, step 3).

    Attributes:
        synonyms: Other names of what is mentioned.
        hypernyms: Broader concepts.
        hypernym_terms: Names of each.
        related: Related concepts.
        related_terms: Names of each.
    """

    synonyms: int = 2
    hypernyms: int = 2
    hypernym_terms: int = 2
    related: int = 2
    related_terms: int = 2

    def __post_init__(self) -> None:
        """Refuse what is no number of things.

        Raises:
            BadArgument: One is.
        """
        for name, number in asdict(self).items():
            whole(number, name.replace("_", " "), 0)

    def record(self) -> dict[str, int]:
        """By name, for a manifest."""
        return asdict(self)


def concepts_and_terms(text: str, option: str) -> tuple[int, int]:
    """`2x3` (two concepts, three terms of each) as two numbers; `0` as none.

    Raises:
        BadArgument: It is not of this form.
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if match is None or (match[2] is None and int(match[1])):
        raise BadArgument(
            f"{option} is CONCEPTSxTERMS, e.g. 2x2, or 0 to leave it out; not {text!r}"
        )
    return int(match[1]), int(match[2] or 0)
