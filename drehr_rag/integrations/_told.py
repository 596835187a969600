"""What a hit knows beside its passage, as the metadata of a framework's document."""

from dataclasses import asdict
from typing import Any

from drehr_rag.types import Hit

NAMES = ("scores", "assertion", "matches")


def told(hit: Hit) -> dict[str, Any]:
    """Its `scores` by stage, its `assertion` (or None) and its `matches`, each a dict, as in `Hit`.

    Only for who asks: of one passage it differs from query to query, and what puts rankings of
    several queries together (LangChain's `MultiQueryRetriever`, LlamaIndex's
    `QueryFusionRetriever`) takes passages of equal metadata for the same.
    """
    matches = [asdict(match) for match in hit.matches]
    return {"scores": dict(hit.scores), "assertion": hit.assertion, "matches": matches}
