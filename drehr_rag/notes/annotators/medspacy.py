"""medSpaCy: its ConText and its sections say what is denied, past, possible or a relative's.

It needs numpy < 2, so it may live in an environment of its own, with this package's base install
beside it; what it says then travels as JSON Lines (docs/retrieval.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from drehr_rag.errors import BadArgument, MissingExtra
from drehr_rag.notes.annotators.rules import Find
from drehr_rag.types import Mention, Status

PIPES = ("medspacy_tokenizer", "medspacy_pyrush", "medspacy_context", "medspacy_sectionizer")
"""Words, sentences, cues, headings: all of medSpaCy that needs no terminology."""

SAID: tuple[tuple[str, Status], ...] = (
    ("is_family", "family"),
    ("is_negated", "negated"),
    ("is_hypothetical", "conditional"),
    ("is_uncertain", "possible"),
    ("is_historical", "historical"),
)
"""medSpaCy's attributes and our statuses, in the order of `assertion_cues.KINDS`."""


def load(*, find: Find | None = None, pipeline: Any = None) -> "MedSpacy":
    """What medSpaCy says of the places that `find` gives, or of your own pipeline's entities.

    Raises:
        BadArgument: Neither is given, or both.
        MissingExtra: medSpaCy is not installed.
    """
    if (find is None) == (pipeline is None):
        raise BadArgument("medspacy takes find (where mentions stand) or a pipeline, one of them")
    with suppress(ModuleNotFoundError):
        from loguru import logger

        logger.disable("PyRuSH")  # its sentence splitter writes every word of a note to stderr
    return MedSpacy(pipeline or _pipeline(), find)


class MedSpacy:
    """Any spaCy pipeline that sets medSpaCy's attributes on its entities.

    Args:
        pipeline: As `medspacy.load()` makes one.
        find: Where mentions stand; of overlapping ones the longest. None: the pipeline's entities.
    """

    def __init__(self, pipeline: Any, find: Find | None = None) -> None:
        """Keep both."""
        self._pipeline, self._find = pipeline, find

    def __call__(self, text: str) -> Iterator[Mention]:
        """The entities; one that has none of the attributes set is present."""
        for entity in self.entities(text, None if self._find is None else self._find(text)):
            status, *_ = *self.said(entity), "present"
            yield Mention(entity.start_char, entity.end_char, status)

    def entities(self, text: str, places: Sequence[tuple[int, int]] | None = None) -> Iterable[Any]:
        """The pipeline's own, or of these places the whole words, none overlapping another."""
        doc = self._pipeline.make_doc(text)
        if places is not None:
            doc.ents = _spans(doc, places)
        entities: Iterable[Any] = self._pipeline(doc).ents
        return entities

    def said(self, entity: Any) -> list[Status]:
        """All that is said of an entity, in the order of `SAID`."""
        return [status for name, status in SAID if getattr(entity._, name, False)]


def _spans(doc: Any, places: Any) -> Any:
    """Whole words, as spaCy has them."""
    from spacy.util import filter_spans

    spans = (doc.char_span(a, b, label="MENTION", alignment_mode="expand") for a, b in places)
    return filter_spans([span for span in spans if span is not None])


def _pipeline() -> Any:
    try:
        import medspacy
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "medspacy is not installed: in an environment of its own (it needs numpy < 2), type "
            "pip install drehr-rag medspacy"
        ) from missing
    return medspacy.load(medspacy_enable=PIPES)
