"""Records for people (rich) and for programs (JSON)."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from drehr_rag.types import Answer, AnswerSentence, Chunk, Citation, Hit, PatientHits

WIDTH = 320
"""Characters of a passage that are shown."""

Why = Callable[[Hit], Iterable[Text]]
"""A hit to the reasons for it, a line each."""

_WORD = re.compile(r"\w+")


def console() -> Console:
    """Standard output; plain where it is no terminal."""
    return _Output(highlight=False, soft_wrap=not Console().is_terminal)


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """`| head` has read enough: that is no failure."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


@contextmanager
def told(out: Console) -> Iterator[None]:
    """What the package logs at INFO is shown meanwhile."""
    logger = logging.getLogger("drehr_rag")
    handler, level = _Told(out), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Told(logging.Handler):
    def __init__(self, out: Console) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.print(Text(plain(record.getMessage())))


def print_json(content: Any) -> None:
    """JSON on standard output."""
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def hit_record(hit: Hit) -> dict[str, Any]:
    """A hit for programs."""
    chunk = hit.chunk
    return {
        "score": hit.score,
        "scores": dict(hit.scores),
        "patient_id": chunk.patient_id,
        "encounter_id": chunk.encounter_id,
        "note_id": chunk.note_id,
        "note_type": chunk.note_type,
        "written_at": chunk.written_at.isoformat() if chunk.written_at else None,
        "section": chunk.section,
        "start": chunk.start,
        "end": chunk.end,
        "chunk_id": chunk.chunk_id,
        "text": chunk.source,
        "metadata": dict(chunk.metadata),
        "matches": [asdict(match) for match in hit.matches],
        "assertion": hit.assertion,
    }


def group_record(group: PatientHits) -> dict[str, Any]:
    """A patient's hits for programs."""
    return {
        "patient_id": group.patient_id,
        "score": group.score,
        "hits": [hit_record(hit) for hit in group.hits],
    }


def answer_record(answer: Answer) -> dict[str, Any]:
    """An answer for programs."""
    return {
        "question": answer.question,
        "answer": answer.text,
        "abstained": answer.abstained,
        "reason": answer.reason,
        "removed": answer.removed,
        "sentences": [sentence_record(sentence) for sentence in answer.sentences],
        "confidence": answer.confidence,
        "trace": asdict(answer.trace),
        "seconds": dict(answer.seconds),
        "tokens": None if answer.tokens is None else dict(answer.tokens),
        "notice": answer.notice,
    }


def sentence_record(sentence: AnswerSentence) -> dict[str, Any]:
    """A sentence of an answer for programs."""
    return {
        "text": sentence.text,
        "citations": [_citation_record(citation) for citation in sentence.citations],
        "unsupported": sentence.unsupported,
    }


def _citation_record(citation: Citation) -> dict[str, Any]:
    written = citation.written_at.isoformat() if citation.written_at else None
    return {**asdict(citation), "written_at": written}


def by_terms(hit: Hit) -> Iterator[Text]:
    """One line, if terms found the passage."""
    if hit.matches:
        near = {m: f", by the nearest name, {m.near}" if m.near else "" for m in hit.matches}
        terms = "; ".join(f"{m.term} ({m.kind} of {m.of}{near[m]})" for m in hit.matches)
        yield Text("    by ", "dim") + plain(terms)


def show_hits(hits: Sequence[Hit], query: str, out: Console, why: Why = by_terms) -> None:
    """Hits, one under the other, each with the reasons that `why` gives for it."""
    for number, hit in enumerate(hits, 1):
        head = Text.assemble((f"{number:>2}. ", "bold"), (f"{hit.score:.3f}  ", "dim"))
        head.append(_place(hit.chunk))
        if hit.assertion not in (None, "present"):
            head.append(f"  {hit.assertion}", "yellow")
        out.print(head)
        out.print(Text("    ") + passage(hit.chunk.source, query))
        for reason in why(hit):
            out.print(reason)


def show_answer(answer: Answer, out: Console) -> None:
    """The answer, then what it cites."""
    numbers: dict[Citation, int] = {}
    for sentence in answer.sentences:
        show_sentence(sentence, numbers, out)
    show_grounds(answer, numbers, out)


def show_sentence(sentence: AnswerSentence, numbers: dict[Citation, int], out: Console) -> None:
    """A sentence with the numbers of its citations; new ones get the next."""
    for citation in sentence.citations:
        numbers.setdefault(citation, len(numbers) + 1)
    marks = "".join(f"[{numbers[c]}]" for c in sentence.citations) or f"[{sentence.unsupported}]"
    out.print(Text.assemble(plain(sentence.text), (f" {marks}", "cyan")))


def show_grounds(answer: Answer, numbers: Mapping[Citation, int], out: Console) -> None:
    """What the sentences cite, or why there are none; and what the reader should know."""
    if answer.abstained:
        out.print(Text.assemble(("No answer: ", "bold yellow"), answer.reason or ""))
    elif numbers:
        out.print()
    for citation, number in numbers.items():
        out.print(Text.assemble((f"[{number}] ", "cyan"), _place(citation)))
        quote = plain(citation.quote)
        said = "" if citation.assertion == "present" else f"  {citation.assertion}"
        out.print(Text.assemble("    ", (f"“{quote}”", "italic"), (said, "yellow")))
    for one in answer.trace.withheld:
        place = f"{one.note_id}:{one.start}-{one.end}"
        why = "reads like an instruction to software and was kept from the generator"
        out.print(Text.assemble((f"{place} ", "yellow"), why))
    if answer.notice:
        out.print(Text(answer.notice, "dim"))


def _place(item: Chunk | Citation) -> Text:
    written = item.written_at.date().isoformat() if item.written_at else None
    known = [f"patient {item.patient_id}", item.note_type, written]
    place = Text("  ".join(part for part in known if part))
    if item.section:
        place.append(f"  § {item.section}", "bold magenta")
    place.append(f"  {item.note_id}:{item.start}-{item.end}", "dim")
    return place


def plain(text: str) -> str:
    """On one line; codes that would steer the terminal are shown, not obeyed."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def passage(text: str, query: str) -> Text:
    """A passage on one line, around its first matched word, matched words standing out."""
    line = plain(text)
    starts = [match.start() for match in _matches(line, query)]
    first = max(0, starts[0] - WIDTH // 4) if starts and starts[0] > WIDTH // 2 else 0
    window = line[first : first + WIDTH]
    shown = Text(("… " if first else "") + window + (" …" if first + WIDTH < len(line) else ""))
    for match in _matches(shown.plain, query):
        shown.stylize("bold yellow", match.start(), match.end())
    return shown


def _matches(line: str, query: str) -> list[re.Match[str]]:
    wanted = {_stem(word) for word in _WORD.findall(query) if len(word) > 1}
    return [match for match in _WORD.finditer(line) if _stem(match[0]) in wanted]


def _stem(word: str) -> str:
    lower = word.lower()
    return lower[:-1] if len(lower) > 3 and lower.endswith("s") else lower


__all__ = [
    "answer_record",
    "by_terms",
    "console",
    "group_record",
    "hit_record",
    "passage",
    "plain",
    "print_json",
    "sentence_record",
    "show_answer",
    "show_grounds",
    "show_hits",
    "show_sentence",
    "told",
]
