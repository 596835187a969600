"""The model card: data, licences, settings, scores and limits, as a hub shows it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drehr_rag._files import written
from drehr_rag.errors import TrainingError
from drehr_rag.training.base_model import shown

SHOWN = 4
"""Digits of a score."""

UNNAMED = "the evaluation that it was selected by"
"""What was evaluated where nobody said what."""


def write_card(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `README.md` from a training's manifest.

    Raises:
        TrainingError: It cannot be written.
    """
    with written(folder / "README.md", error=TrainingError) as stream:
        stream.write(card(manifest, name=folder.resolve().name))


def card(manifest: Mapping[str, Any], *, name: str) -> str:
    """The text of a card.

    Args:
        manifest: Of a finished training.
        name: What the model is called.
    """
    parts = [
        _head(manifest),
        f"# {name}\n\nA retrieval encoder for clinical notes: it finds the chunks of notes that "
        "an entity (a disease, a procedure, a drug) is meant in. Trained by "
        f"drehr-rag {manifest['versions']['drehr-rag']} from `{shown(manifest)}`.",
        _use(manifest),
        _data(manifest),
        _scores(manifest),
        _training(manifest),
        "## Limits\n\nFor research and for search that a person checks. It is no medical device, "
        "and finding nothing does not show that nothing is there. It was measured on the texts "
        "named above only; other languages, hospitals and kinds of notes are unknown. The weights "
        "may hold traces of the notes that it was trained on, so their licences and agreements "
        "hold for the weights too.",
    ]
    return "\n\n".join(parts) + "\n"


def licences(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(source, licence) of the examples, also of those that the base was trained on here.

    They are in the manifests that lay beside the examples.
    """
    found = dict.fromkeys(
        pair for one in manifest["examples"] for pair in _licences(one.get("manifest"), one["file"])
    )
    trained = (manifest.get("base") or {}).get("trained")
    return [*found, *(p for p in licences(trained) if p not in found)] if trained else [*found]


def _licences(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every `licence` (or `license`) in a manifest, with the name of what stands around it."""
    if isinstance(value, list):
        for one in value:
            yield from _licences(one, name)
    if not isinstance(value, dict):
        return
    name = str(value.get("name") or value.get("file") or value.get("source") or name)
    for key, one in value.items():
        if key in ("licence", "license") and isinstance(one, str):
            yield name, one
        elif key in ("licences", "licenses") and isinstance(one, dict):
            yield from ((str(k), str(v)) for k, v in one.items())
        else:
            yield from _licences(one, str(key) if isinstance(one, dict) else name)


def _head(manifest: Mapping[str, Any]) -> str:
    hub = (manifest.get("base") or {}).get("hub")  # a hub refuses any other base_model
    named = f"base_model: {json.dumps(hub)}\n" if hub else ""
    return (
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n"
        "tags:\n- sentence-transformers\n- feature-extraction\n- clinical\n- retrieval\n"
        f"{named}license: other\n---"
    )


def _use(manifest: Mapping[str, Any]) -> str:
    large = manifest["model"].startswith("dr-ehr-large")
    name = "dr-ehr-large:FOLDER" if large else "FOLDER"
    lines = [
        "## Use",
        f'```python\nfrom drehr_rag import load_encoder\n\nencoder = load_encoder("{name}")\n```',
    ]
    if not large:
        lines.append(
            "Or with sentence-transformers alone: `SentenceTransformer(FOLDER)`, with "
            "`encode_query` and `encode_document`. Compare by cosine."
        )
    return "\n\n".join(lines)


def _data(manifest: Mapping[str, Any]) -> str:
    lines = ["## Data", "| examples | number | weight | SHA-256 |\n|---|---|---|---|"]
    rows = [
        f"| {one['file']} | {one['examples']:,} | {one['weight']:g} | `{one['sha256'][:16]}…` |"
        for one in manifest["examples"]
    ]
    lines[1] = "\n".join([lines[1], *rows])
    base = manifest.get("base") or {}
    known = licences(manifest)
    if base.get("licence"):
        known.append((f"{base['hub']} (base model)", base["licence"]))
    if known:
        table = "\n".join(f"| {source} | {licence} |" for source, licence in known)
        lines.append(f"| source | licence |\n|---|---|\n{table}")
    if silent := _silent(manifest):
        lines.append(f"No licence is known here of: {', '.join(silent)}.")
    return "\n\n".join(lines)


def _silent(manifest: Mapping[str, Any]) -> list[str]:
    """Examples whose manifest names no licence, and the base model if its own is not known."""
    base = manifest.get("base") or {}
    without = [
        one["file"]
        for one in manifest["examples"]
        if not list(_licences(one.get("manifest"), one["file"]))
    ]
    earlier = _silent(base["trained"]) if base.get("trained") else []
    own = [] if base.get("licence") or base.get("trained") else [f"{shown(manifest)} (base model)"]
    return list(dict.fromkeys([*without, *earlier, *own]))


def _scores(manifest: Mapping[str, Any]) -> str:
    before, after = manifest["before"], manifest["after"]
    if not after:
        return "## Scores\n\nNot measured while it was trained."
    rows = "\n".join(
        f"| {name} | {before[name]:.{SHOWN}f} | {value:.{SHOWN}f} |"
        for name, value in after.items()
        if name in before
    )
    where = manifest.get("evaluated_on") or UNNAMED
    return (
        f"## Scores\n\n{where}, dense search alone, means over queries. The checkpoint was chosen "
        f"by the first line, so these are no test scores.\n\n"
        f"| measure | {shown(manifest)} | this model |\n|---|---|---|\n{rows}"
    )


def _training(manifest: Mapping[str, Any]) -> str:
    settings = json.dumps(manifest["settings"], indent=2, ensure_ascii=False)
    versions = ", ".join(f"{name} {number}" for name, number in manifest["versions"].items())
    return (
        f"## Training\n\n{manifest['steps']:,} steps in {manifest['processes']} process(es); saved "
        f"is step {manifest['saved_step']:,}. The loss of each step is in "
        f"`{manifest['loss_curve']}`, the whole record in `training_manifest.json`.\n\n"
        f"```json\n{settings}\n```\n\n{versions}."
    )
