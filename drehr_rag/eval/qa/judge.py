"""Faithfulness: a judge model reads each sentence of an answer beside the passages it cites."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.faults import safe
from drehr_rag.eval.qa.files import drop_half_line, private, sha256
from drehr_rag.eval.qa.records import Question
from drehr_rag.eval.qa.replies import Reply, Said
from drehr_rag.eval.qa.running import PATIENCE
from drehr_rag.eval.qa.verdicts import LABELS, NAME, UNFIT, Verdict, read_verdicts
from drehr_rag.protocols import GenerationRequest, Generator

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": list(LABELS)}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def template() -> str:
    """The prompt, `judge.md` of this package."""
    return files("drehr_rag.eval.qa").joinpath("judge.md").read_text("utf-8")


def judge(
    questions: Sequence[Question],
    replies: Sequence[Reply],
    generator: Generator,
    *,
    model: str,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[Verdict]:
    """A verdict on every sentence of every answer; those the folder holds are not asked again.

    Args:
        questions: The set.
        replies: What was answered to it.
        generator: The judge; an OpenAI-compatible one is asked with temperature 0 and seed 0.
        model: Its name, which the report gives.
        folder: Where `verdicts.jsonl` stands.
        progress: Called with sentences judged and sentences to judge.

    Raises:
        EvaluationError: The judge failed ten times in a row.
    """
    path = Path(folder) / NAME
    drop_half_line(path)
    asked = {question.question_id: question.question for question in questions}
    work = [
        Item(reply.question_id, number, _request(asked[reply.question_id], reply, said), model)
        for reply in replies
        for number, said in enumerate(reply.sentences, 1)
    ]
    known = {v.asked: v for v in read_verdicts(path) if v.verdict or v.reason == UNFIT}
    found = []
    with private(path, append=True) as file:
        for verdict in _verdicts(work, known, generator, file):
            found.append(verdict)
            if progress:
                progress(len(found), len(work))
    return found


@dataclass(frozen=True)
class Item:
    """One sentence to be judged."""

    question_id: str
    sentence: int
    request: GenerationRequest = field(repr=False)
    model: str

    @property
    def mark(self) -> str:
        """What a verdict is known by."""
        return sha256(f"{self.model}\n{self.request.prompt}")


def _verdicts(
    work: Sequence[Item], known: Mapping[str, Verdict], generator: Generator, file: IO[str]
) -> Iterator[Verdict]:
    failed = 0
    for item in work:
        place = {"question_id": item.question_id, "sentence": item.sentence}
        if item.mark in known:
            yield known[item.mark].model_copy(update=place)
            continue
        label, reason = _judged(generator, item.request)
        verdict = Verdict(**place, asked=item.mark, verdict=label, reason=reason)  # type: ignore[arg-type]
        file.write(verdict.model_dump_json() + "\n")
        file.flush()
        yield verdict
        failed = failed + 1 if reason not in (None, UNFIT) else 0
        if failed == PATIENCE:
            raise EvaluationError(
                f"the judge failed {PATIENCE} times in a row ({reason}). Put this right and type "
                "the command again: it goes on from there"
            )


def _judged(generator: Generator, request: GenerationRequest) -> tuple[str | None, str | None]:
    """The verdict, or why there is none."""
    try:
        reply = generator.generate(request)
    except Exception as problem:  # somebody else's judge may raise anything
        return None, safe(problem)
    try:
        content = json.loads(reply)
    except (ValueError, RecursionError):
        return None, UNFIT
    fits = isinstance(content, dict) and content.keys() == {"verdict"}
    label = content["verdict"] if fits else None
    return (label, None) if label in LABELS else (None, UNFIT)


def _request(question: str, reply: Reply, said: Said) -> GenerationRequest:
    """The whole passages that the sentence cites, so that the judge sees the words around."""
    texts = {passage.chunk_id: passage.text for passage in reply.passages}
    cited = dict.fromkeys(texts.get(c.chunk_id, c.quote) for c in said.citations)
    shown = "\n\n".join(f"[{number}]\n{text}" for number, text in enumerate(cited, 1))
    return GenerationRequest(
        prompt=template().format(question=question, passages=shown, sentence=said.text),
        question=said.text,
        passages=tuple(cited),
        schema=SCHEMA,
    )
