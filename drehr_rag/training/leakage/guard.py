"""The guard: whether a chunk may be trained on, and an account of those that may not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.examples import Example
from drehr_rag.training.leakage.held_out_ids import HeldOutIds
from drehr_rag.training.leakage.near_texts import COMMON, LEAST, NearTexts
from drehr_rag.training.leakage.shingles import SHINGLE

Kind = Literal["id", "copy", "template"]

SHOWN = 5
"""Leaks that an error names."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A chunk that is held out, or much like one that is.

    Attributes:
        idx: Of the chunk.
        held_out: The id that it has, or that of the text it resembles.
        kind: `id`, `copy`, or `template`: most of what it shares stands in several held-out notes.
        overlap: See `Resemblance`; 1 for an id.
        source: What the text is held out for.
    """

    idx: str
    held_out: str
    kind: Kind
    overlap: float
    source: str


@dataclass(frozen=True)
class LeakReport:
    """What was found in chunks that were checked.

    Attributes:
        checked: How many.
        counts: Leaks of each kind.
        leaks: Every one, without text.
        ids: How many ids are held out.
        ids_met: How many of them occurred; none is a sign of another id space.
    """

    checked: int = 0
    counts: Mapping[Kind, int] = field(default_factory=dict)
    leaks: tuple[Leak, ...] = ()
    ids: int = 0
    ids_met: int = 0


class Guard:
    """Knows what is held out.

    Args:
        ids: Held out by id.
        texts: Held out by text.
        templates: Whether a chunk counts as a leak that shares a template with a held-out note, and
            little else.

    Raises:
        BadArgument: Nothing is held out.
    """

    def __init__(
        self,
        *,
        ids: HeldOutIds | None = None,
        texts: NearTexts | None = None,
        templates: bool = True,
    ) -> None:
        """Keep them."""
        if ids is None and texts is None:
            raise BadArgument("a guard against leakage needs held-out ids or texts")
        self.ids, self.texts, self.templates = ids, texts, templates

    def check(self, idx: str, text: str) -> Leak | None:
        """The leak that this chunk would be, or None."""
        if self.ids is not None and (held := self.ids.match(idx)) is not None:
            return Leak(idx, held, "id", 1.0, self.ids.file)
        if self.texts is None or (like := self.texts.find(text)) is None:
            return None
        if like.template and not self.templates:
            return None
        kind: Kind = "template" if like.template else "copy"
        return Leak(idx, like.held_out, kind, round(like.overlap, 3), like.source)

    def report(self, chunks: Iterable[tuple[str, str]]) -> LeakReport:
        """Check (idx, text) of every chunk, as a stream."""
        checked, leaks = 0, []
        for idx, text in chunks:
            checked += 1
            if leak := self.check(idx, text):
                leaks.append(leak)
        return self.account(checked, leaks)

    def account(self, checked: int, leaks: Iterable[Leak]) -> LeakReport:
        """A report of leaks found one by one."""
        found = tuple(leaks)
        counts = Counter(leak.kind for leak in found)
        met = len({leak.held_out for leak in found if leak.kind == "id"})
        return LeakReport(checked, dict(counts), found, len(self.ids.ids) if self.ids else 0, met)

    def refuse(self, examples: Iterable[Example], *, allow: bool = False) -> LeakReport:
        """The report, if there is no leak or it is allowed.

        Args:
            examples: What would be trained on.
            allow: Train all the same; the report belongs into the manifest.

        Raises:
            TrainingError: There are leaks; it names the first of them.
        """
        report = self.report((example.idx, example.text) for example in examples)
        if report.leaks and not allow:
            some = ", ".join(f"{leak.idx} ({leak.held_out})" for leak in report.leaks[:SHOWN])
            more = f" and {len(report.leaks) - SHOWN:,} more" if len(report.leaks) > SHOWN else ""
            raise TrainingError(
                f"{len(report.leaks):,} of {report.checked:,} examples are held out or much like "
                f"held-out ones: {some}{more}. Build them again with the same --held-out and "
                "--against, or type --allow-leakage, which the manifest will say"
            )
        return report

    def settings(self) -> dict[str, Any]:
        """For the manifest: what is held out, and how likeness is measured."""
        found: dict[str, Any] = {"templates": "drop" if self.templates else "keep"}
        if self.ids is not None:
            found |= {"ids": len(self.ids.ids), "file": self.ids.file, "sha256": self.ids.sha256}
        if self.texts is not None:
            found |= {
                "texts": self.texts.counts,
                "texts_sha256": self.texts.sha256,
                "threshold": self.texts.threshold,
                "shingle_words": SHINGLE,
                "least_shared": LEAST,
                "common_notes": COMMON,
            }
        return found


def leak_record(leak: Leak) -> dict[str, Any]:
    """A leak for programs."""
    return asdict(leak)
