"""Questions to what a generator is asked: entities, searches and passages, several at a time."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from drehr_rag.errors import GeneratorError, TextTooLong
from drehr_rag.protocols import Generator
from drehr_rag.qa.answering import Asked
from drehr_rag.qa.counting import counter
from drehr_rag.qa.retrieving import Entities, Plan, Retrieved, chosen, plan
from drehr_rag.qa.settings import Settings
from drehr_rag.qa.under_way import Failure, Record, Work
from drehr_rag.types import Hit, Scope

Search = Callable[[list[str], Scope, int], list[list[Hit]]]
"""Queries, whose notes, and how many hits of each."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """Makes questions ready to be asked.

    Attributes:
        search: Finds.
        generator: Will be asked; only its own count of tokens is used here.
        settings: How.
    """

    search: Search = field(repr=False)
    generator: Generator = field(repr=False)
    settings: Settings

    def one(self, record: Record) -> Work:
        """The record's question, ready.

        Raises:
            GeneratorError: Of what names the question's entities.
            TextTooLong: The encoder cannot read the question whole.
        """
        (found,) = self._ready([record])
        if isinstance(found, GeneratorError):
            raise found
        record.work = found
        return found

    def some(self, records: Sequence[Record]) -> None:
        """Each record gets its work, or its outcome if it cannot be asked.

        What is searched for in the same notes is encoded together.
        """
        try:
            found: Sequence[Work | Failure] = self._ready(records)
        except TextTooLong as problem:
            if len(records) > 1:  # one of them; the others must not pay for it
                for record in records:
                    self.some([record])
                return
            found = [problem]
        for record, one in zip(records, found, strict=True):
            if isinstance(one, Work):
                record.work = one
            else:
                record.outcome = one

    def _ready(self, records: Sequence[Record]) -> list[Work | GeneratorError]:
        started = perf_counter()
        plans = self._planned([record.question for record in records])
        found = self._found(plans, [record.scope for record in records])
        share = (perf_counter() - started) / len(records)
        return [
            planned
            if isinstance(planned, GeneratorError)
            else self._work(record.question, found[place], share)
            for place, (record, planned) in enumerate(zip(records, plans, strict=True))
        ]

    def _planned(self, questions: Sequence[str]) -> list[Plan | GeneratorError]:
        most, by_time = self.settings.passages, self.settings.by_time
        return [
            named
            if isinstance(named, GeneratorError)
            else plan(question, named, most=most, by_time=by_time)
            for question, named in zip(
                questions, _entities(questions, self.settings.entities), strict=True
            )
        ]

    def _found(
        self, plans: Sequence[Plan | GeneratorError], scopes: Sequence[Scope]
    ) -> dict[int, Retrieved]:
        """By place; one search for all that looks equally deep into the same notes."""
        together: dict[tuple[Scope, int], list[tuple[int, Plan]]] = defaultdict(list)
        for place, (planned, scope) in enumerate(zip(plans, scopes, strict=True)):
            if isinstance(planned, Plan):
                together[scope, planned.depth].append((place, planned))
        found = {}
        for (scope, depth), some in together.items():
            queries = [query for _, planned in some for query in planned.queries]
            rankings = iter(self.search(queries, scope, depth))
            for place, planned in some:
                found[place] = chosen(planned, [next(rankings) for _ in planned.queries])
        return found

    def _work(self, question: str, found: Retrieved, seconds: float) -> Work:
        how, hits = self.settings, found.hits
        count = how.count or counter(self.generator, hits, how.budget)
        asked = None
        if hits:
            asked = Asked.of(question, hits, how.unsupported, how.budget, count, marked=how.marked)
        return Work(question, found, asked, how.notice, seconds)


def _entities(
    questions: Sequence[str], name: Entities | None
) -> Sequence[Sequence[str] | GeneratorError]:
    """Of each question; all at once where that can be (`understanding.ByGenerator`)."""
    if name is None:
        return [()] * len(questions)
    many = getattr(name, "many", None)
    if many is not None and len(questions) > 1:
        named: Sequence[Sequence[str] | GeneratorError] = many(questions)
        return named
    return [_outcome(name, question) for question in questions]


def _outcome(name: Entities, question: str) -> Sequence[str] | GeneratorError:
    try:
        return name(question)
    except GeneratorError as problem:
        return problem
