"""What a training begins with: its id on a hub, its licence, and how it was trained itself."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")

_OFFLINE = "sentence-transformers/all-MiniLM-L6-v2"

LICENCES = {
    "nvidia/NV-Embed-": "CC-BY-NC-4.0",
    "BAAI/bge-": "MIT",
    _OFFLINE: "Apache-2.0",
}
"""By the beginning of the id, as the models' cards on huggingface.co state them."""


def place_of(model: str) -> str:
    """The folder or hub id in a name that `load_encoder` takes: what stands after `dr-ehr-small:`.

    Args:
        model: For instance `dr-ehr-small:BAAI/bge-base-en-v1.5`.
    """
    _, colon, place = model.partition(":")
    return place if colon and not Path(model).exists() else model


def base_of(model: str, trained: Mapping[str, Any] | None) -> dict[str, Any]:
    """For the manifest: `hub` and `licence`, where they are known, and `trained`.

    Args:
        model: As for `load_encoder`.
        trained: The manifest in the model's folder, if it was trained here: what that began with
            is on the hub, and what it was trained on has licences too.
    """
    place = place_of(model)
    hub = _OFFLINE if model == "offline" else None
    if trained is not None:
        hub = (trained.get("base") or {}).get("hub")
    elif not Path(place).exists() and _HUB_ID.fullmatch(place):
        hub = place
    licence = next((it for start, it in LICENCES.items() if hub and hub.startswith(start)), None)
    return {"hub": hub, "licence": licence, "trained": trained}


def shown(manifest: Mapping[str, Any]) -> str:
    """What a card calls it: a hub id, or the folder's name without where it lay."""
    base = manifest.get("base") or {}
    if base.get("hub") and not base.get("trained"):
        return str(base["hub"])
    return Path(place_of(manifest["model"])).name
