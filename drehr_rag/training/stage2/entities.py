"""What a listed item must be to count as an entity, and why others are refused."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from drehr_rag.training.masking import text_key

LONGEST = 100
"""Characters of an entity. Training reads 16 tokens of it (PAPER.md §1), seldom more characters."""

WORDS = 12
"""Words of an entity: the longest names of diagnoses have about so many; sentences have more."""

NO_ENTITY = re.compile(
    r"(?:n\.?/?a\.?|nil|null|nothing|unknown|unspecified|not (?:applicable|available|stated|given"
    r"|mentioned|specified|documented)|none(?![\w-]).*|no(?:t|thing)?\b.*\b(?:found|mentioned|stated"
    r"|identified|listed|documented|noted|given|inferred|provided|specified|explicit\w*"
    r"|can be inferred|entit\w+)\b.*|no (?:diagnos\w+|procedures?|prescriptions?|medications?"
    r"|drugs?))",
    re.IGNORECASE,
)
"""An item that says that there is none. It must be the whole item: the released parser drops all
that begins with "NA", and so nausea, naproxen and nasal congestion (PAPER.md §1)."""

_REMARK = re.compile(
    r"\s*\([^()]*\b(?:stated|inferred|implied|implicit|explicit|mentioned|explicitly|based on"
    r"|not (?:explicitly|directly))\b[^()]*\)$",
    re.IGNORECASE,
)
_AROUND = re.compile(r"^(\*\*|__|\*|_|`|\"|“|')(.+?)(\*\*|__|\*|_|`|\"|”|')([.;,:]?)$")
_PAIRS = {"“": "”"}
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reply held.

    Attributes:
        entities: Each once, in its order.
        refused: Items that are no entity, by reason.
        failure: Why the reply is none at all; then there are no entities.
    """

    entities: tuple[str, ...] = field(default=(), repr=False)
    refused: tuple[tuple[str, int], ...] = ()
    failure: str | None = None


def sifted(items: Iterable[str], refused: Counter[str] | None = None) -> Parsed:
    """The entities among listed items.

    Args:
        items: As they are listed, without bullets.
        refused: What was refused before, to be counted too.
    """
    counts = Counter(refused or {})
    kept: dict[int, str] = {}
    foreign = 0
    for item in items:
        entity = cleaned(item)
        reason = why_not(entity)
        foreign += reason == "another script"
        if reason is None and text_key(entity) in kept:
            reason = "twice"
        if reason is None:
            kept[text_key(entity)] = entity
        else:
            counts[reason] += 1
    failure = "in another script" if foreign and not kept else None
    return Parsed(tuple(kept.values()), tuple(sorted(counts.items())), failure)


def cleaned(item: str) -> str:
    """The item without emphasis, quotation marks, a final stop, and a remark on how it is known."""
    text = _SPACE.sub(" ", item).strip()
    while (match := _AROUND.match(text)) and match[3] == _PAIRS.get(match[1], match[1]):
        text = (match[2] + match[4]).strip()
    text = _REMARK.sub("", text)
    return text.rstrip(" .;,")


def why_not(entity: str) -> str | None:
    """Why a cleaned item is no entity; None if it is one."""
    if not any(character.isalpha() for character in entity):
        return "without a letter"
    if not entity.isprintable():
        return "with control characters"
    if NO_ENTITY.fullmatch(entity):
        return "says there is none"
    if entity.endswith(":"):
        return "a heading"
    if len(entity) > LONGEST or len(entity.split()) > WORDS:
        return "too long"
    return "another script" if foreign(entity) else None


def foreign(text: str) -> bool:
    """Whether most letters are neither Latin nor single Greek ones (β-thalassaemia)."""
    letters = [one for one in unicodedata.normalize("NFKC", text) if one.isalpha()]
    known = sum(unicodedata.name(letter, "").startswith(("LATIN", "GREEK")) for letter in letters)
    return known * 2 < len(letters)
