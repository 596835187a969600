"""How questions are answered."""

from dataclasses import dataclass, field

from drehr_rag._arguments import positive
from drehr_rag.errors import BadArgument
from drehr_rag.qa.answering import UNSUPPORTED_POLICIES, Unsupported
from drehr_rag.qa.passages import BUDGET, Count
from drehr_rag.qa.retrieving import PASSAGES, Entities
from drehr_rag.types import NOTICE


@dataclass(frozen=True, slots=True)
class Settings:
    """How questions are answered.

    Attributes:
        passages: Hits that are read at most.
        budget: Tokens of all passages together.
        count: Tokens of a text; by default the generator's own count, if it has one and the
            passages may exceed the budget, else an estimate.
        unsupported: `remove` sentences that the notes do not support, or `flag` them.
        entities: Names what a question asks about, so that each is searched for.
        marked: The generator is told beside each passage what it denies, suspects, or says of the
            past and of relatives (`notes/assertions.py`).
        by_time: Whether a question's words of time ("latest", "on discharge", "in March") move hits
            of that time up.
        notice: Goes with every answer.
    """

    passages: int = PASSAGES
    budget: int = BUDGET
    count: Count | None = field(default=None, repr=False)
    unsupported: Unsupported = "remove"
    entities: Entities | None = field(default=None, repr=False)
    marked: bool = True
    by_time: bool = True
    notice: str = NOTICE

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            BadArgument: A number below 1, or another policy.
        """
        positive(self.passages, "passages")
        positive(self.budget, "budget")
        if self.unsupported not in UNSUPPORTED_POLICIES:
            raise BadArgument(
                f"unsupported is one of {', '.join(UNSUPPORTED_POLICIES)}, not {self.unsupported!r}"
            )
