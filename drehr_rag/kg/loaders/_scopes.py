"""How near to a concept a synonym must be to count as its name (OBO's scopes)."""

from drehr_rag.errors import BadArgument

SCOPES = ("EXACT", "NARROW", "BROAD", "RELATED")


def scopes_of(text: str) -> frozenset[str]:
    """The scopes that an option names, comma-separated.

    Raises:
        BadArgument: One is none.
    """
    wanted = {word.strip().upper() for word in text.split(",")}
    if wanted == {"ALL"}:
        return frozenset(SCOPES)
    if not wanted <= set(SCOPES):
        raise BadArgument(f"synonyms are {', '.join(SCOPES)} or ALL, not {text!r}")
    return frozenset(wanted)
