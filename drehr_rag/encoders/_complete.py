"""Whether a model was read whole: transformers fills what no file holds with random numbers."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from drehr_rag._extras import require
from drehr_rag.errors import EncoderError

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_MISSING: Final = re.compile(r"^(\S.*?)\s*\|\s*MISSING\b", re.MULTILINE)
"""A line of the table that transformers 5 logs (`utils/loading_report.py`)."""

LEAST_VOCABULARY: Final = 0.5
"""Of the embedding's rows, those that the tokenizer must know: T5 keeps 28 of 32,128 in reserve,
while without its files a tokenizer is made of the special tokens alone."""


class _Reports(logging.Handler):
    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self.missing: list[str] = []
        self._folder = str(folder)

    def emit(self, record: logging.LogRecord) -> None:
        text = _COLOUR.sub("", record.getMessage())
        if "LOAD REPORT" in text and self._folder in text:
            self.missing += _MISSING.findall(text)


@contextmanager
def missing_parameters(folder: Path) -> Iterator[list[str]]:
    """Without progress bars; the list fills with parameters that the folder's files lack."""
    library = require("transformers.utils.logging", extra="local")
    bars, verbosity = library.is_progress_bar_enabled(), library.get_verbosity()
    reports = _Reports(folder)
    library.disable_progress_bar()
    library.set_verbosity(min(verbosity, logging.WARNING))
    library.add_handler(reports)
    try:
        yield reports.missing
    finally:
        library.remove_handler(reports)
        library.set_verbosity(verbosity)
        if bars:
            library.enable_progress_bar()


def refuse_incomplete(loaded: Any, missing: Sequence[str], folder: Path) -> None:
    """Raise if a part of a `SentenceTransformer` that makes vectors was not in the folder.

    Args:
        loaded: The `SentenceTransformer`.
        missing: What `missing_parameters` gave.
        folder: Where it was read from.

    Raises:
        EncoderError: Parameters or the vocabulary are missing.
    """
    if any(hasattr(module, "pooling_mode") for module in loaded):  # then BERT's own is not used
        missing = [name for name in missing if "pooler" not in name.split(".")]
    if missing:
        raise EncoderError(
            f"{folder} holds only a part of the model: {', '.join(sorted(missing)[:3])} "
            f"({len(missing)} such entries) would be random numbers; copy all of its files again"
        )
    rows = getattr(getattr(loaded[0], "config", None), "vocab_size", 0)
    words = len(loaded.tokenizer)
    if words < LEAST_VOCABULARY * rows:
        raise EncoderError(
            f"{folder} holds no vocabulary (its tokenizer knows {words} tokens, the model {rows}): "
            f"copy tokenizer.json or vocab.txt too"
        )
