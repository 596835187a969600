"""Whether the notes support a claim; each rule says in a few words what it refuses."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from drehr_rag.notes.told import told
from drehr_rag.qa.citing import quoted
from drehr_rag.qa.claims import Claim
from drehr_rag.qa.folding import fold
from drehr_rag.qa.passages import Passage
from drehr_rag.qa.widening import widened
from drehr_rag.types import Citation

EMPTY = "it says nothing"
NO_PASSAGE = "it names no passage that there is"
NO_QUOTE = "its quote is in none of the passages it names"
INSTRUCTION = "it rests on an instruction in a note, not on documentation"
MARKUP = "it holds a link, markup or characters that nobody sees"

PRESENT = "present"
"""What is said of a mention that nothing denies."""

ECHOES = 2
"""Words that only an instruction has, from which a sentence follows it; a number is enough."""

_MARKUP = re.compile(
    r"(?:https?:|www\.|javascript:)\S*|!\[|\]\(|</?[a-z!][^>]*>|<\||\|>|```", re.IGNORECASE
)
"""A link or a tag as a whole: one that stands in the quote may be repeated."""

_WORD = re.compile(r"[^\W_]+(?:[.,'/-][^\W_]+)*")
_COMMON = 3
"""Characters of a word that says nothing by itself."""


def verified(
    claim: Claim, passages: Sequence[Passage], question: str
) -> tuple[tuple[Citation, ...], str | None]:
    """The claim's citations, and why it is refused, if it is.

    Args:
        claim: What the generator says.
        passages: What it was given, number 1 first.
        question: What it was asked.
    """
    named = [passages[n - 1] for n in claim.passages if 1 <= n <= len(passages)]
    if not claim.text.strip():
        return (), EMPTY
    if not named:
        return (), NO_PASSAGE
    found = _citations(claim.quote, named)
    if not found:
        hidden = any(one.withheld and quoted(claim.quote, one.chunk) for one in named)
        return (), INSTRUCTION if hidden else NO_QUOTE
    if _unseen(claim.text) or _markup(claim.text) - _markup(" ".join(c.quote for c in found)):
        return found, MARKUP
    return found, INSTRUCTION if _echoes(claim.text, passages, question) else None


def _citations(quote: str, named: Sequence[Passage]) -> tuple[Citation, ...]:
    """Where it stands; if each place is denied, past or another's, with the words that say so."""
    found = [(citation, one) for one in named if (citation := _citation(quote, one))]
    if any(citation.assertion == PRESENT for citation, _ in found):
        return tuple(citation for citation, _ in found)
    return tuple(_widened(citation, one) for citation, one in found)


def _citation(quote: str, passage: Passage) -> Citation | None:
    found = quoted(quote, passage.chunk, passage.withheld)
    if found is None:
        return None
    own, first = passage.chunk, passage.chunk.start
    heading = passage.parts[0].section
    (status,) = told(own, [(found.start - first, found.end - first)], section=heading)
    return _placed(replace(found, assertion=status), passage)


def _widened(citation: Citation, passage: Passage) -> Citation:
    """It keeps what is said of the words that the generator quoted."""
    own, first = passage.chunk, passage.chunk.start
    start, end = widened(
        own.source,
        citation.start - first,
        citation.end - first,
        section=passage.parts[0].section,
        refused=passage.withheld,
    )
    whole = replace(citation, start=first + start, end=first + end, quote=own.source[start:end])
    return _placed(whole, passage)


def _placed(citation: Citation, passage: Passage) -> Citation:
    """Of the part that holds the quote whole, if one does."""
    holding = [part for part in passage.parts if part.start <= citation.start < part.end]
    part = next((one for one in holding if citation.end <= one.end), holding[-1])
    return replace(citation, chunk_id=part.chunk_id, section=part.section)


def _markup(text: str) -> set[str]:
    return {match[0].lower() for match in _MARKUP.finditer(text)}


def _unseen(text: str) -> bool:
    return not text.isascii() and any(unicodedata.category(c) in ("Cf", "Cc", "Cs") for c in text)


def _echoes(text: str, passages: Sequence[Passage], question: str) -> bool:
    """Whether its words come from instructions alone: an honest quote can stand beside those."""
    hidden = {
        word
        for passage in passages
        for start, end in passage.withheld
        for word in _words(passage.chunk.source[start:end])
    }
    if not hidden:
        return False
    known = set(_words(question)).union(*(_words(passage.shown) for passage in passages))
    own = (set(_words(text)) & hidden) - known
    return len(own) >= ECHOES or any(any(map(str.isdigit, word)) for word in own)


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(fold(text).text):
        if len(word) > _COMMON or any(map(str.isdigit, word)):
            yield word
