"""Whether terms stand in a passage as phrases, not as a bag of their words."""

from dataclasses import dataclass

from drehr_rag.retrievers._expansion import Term
from drehr_rag.retrievers._terms import Folds, folded, spaced, words


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, ready to be asked for phrases.

    Attributes:
        plain: Its folded words.
        written: Its words as they are written.
    """

    plain: str
    written: str

    @classmethod
    def of(cls, text: str, folds: Folds) -> "Passage":
        """Split a text once, however many terms are looked for."""
        own = words(text)
        return cls(spaced([folds[word] for word in own]), spaced(own))

    def has(self, phrase: str, *, exact: bool) -> bool:
        """Whether a spaced phrase stands in it, as written or folded."""
        return phrase in (self.written if exact else self.plain)


def phrase_of(term: Term) -> str:
    """The spaced words that are looked for: as written where capitals matter."""
    return spaced(words(term.text)) if term.exact else folded(term.text)
