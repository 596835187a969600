"""Words of notes and queries in a form in which they are compared."""

import re

AMERICAN = {
    "leucaem": "leukem",
    "leukaem": "leukem",
    "leuco": "leuko",
    "haem": "hem",
    "aemi": "emi",
    "anaes": "anes",
    "aesth": "esth",
    "aetio": "etio",
    "caec": "cec",
    "caesar": "cesar",
    "faec": "fec",
    "gynaec": "gynec",
    "ischae": "ische",
    "paed": "ped",
    "coeli": "celi",
    "foet": "fet",
    "noea": "nea",
    "oede": "ede",
    "oesoph": "esoph",
    "oestr": "estr",
    "rhoea": "rhea",
    "isation": "ization",
    "behaviour": "behavior",
    "colour": "color",
    "labour": "labor",
    "tumour": "tumor",
    "sulph": "sulf",
    "fibre": "fiber",
}
"""British spelling of what medical words are made of, and the American; from left to right."""

MOST = 65_536
"""Words whose folded form is kept; a few megabytes."""

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SPACED = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) != "'"}
_BRITISH = re.compile("|".join(AMERICAN))
RESPELT = re.compile("'|" + "|".join({new.removesuffix("s") for new in AMERICAN.values()}))
"""What a folded word may have where the text has something else: a spelling, an apostrophe."""


def american(text: str) -> str:
    """A text in small letters and American spelling."""
    return _BRITISH.sub(lambda found: AMERICAN[found[0]], text.lower())


def fold(text: str) -> list[str]:
    """The words of a text without case, British spelling, plural and possessive s."""
    return [singular(word.removesuffix("'s")) for word in words(american(text))]


def singular(word: str) -> str:
    """A word without its plural s."""
    plural = len(word) > 3 and word[-1] == "s" and word[-2] not in "siu"
    return word[:-1] if plural else word


def words(text: str) -> list[str]:
    """The words as they are written, in order; curly apostrophes made straight."""
    text = straight(text)
    if not text.isascii():
        return WORD.findall(text)
    pieces = text.translate(_SPACED).split()  # half the time, the same words
    if "'" not in text:
        return pieces
    return [w for p in pieces for w in (WORD.findall(p) if "'" in p else (p,))]


def straight(text: str) -> str:
    """A text of the same length, its curly apostrophes made straight."""
    return text.replace("\u2019", "'")


def spaced(folded: list[str]) -> str:
    """Words with a space on both sides, so that `in` finds whole words."""
    return f" {' '.join(folded)} "


def folded(text: str) -> str:
    """The folded words of a text, spaced."""
    return spaced(fold(text))


class Folds(dict[str, str]):
    """The folded form of each word that was met: passages have most of theirs in common."""

    def __missing__(self, word: str) -> str:
        if len(self) >= MOST:
            self.clear()
        self[word] = folded = " ".join(fold(word))
        return folded

    def spaced(self, text: str) -> str:
        """As `folded`, in a third of the time where most words were met before."""
        return spaced([self[word] for word in words(text)])
