"""What a question costs besides the model's own time, one by one and many at a time.

    python -m benchmarks.qa [--quick] [--url URL] [--json FILE] [--markdown docs/measurements.md]

The generator is a server on loopback that answers after a fixed time, some requests at once.
With `--url`, the same questions go to a real vLLM server, and what its cache of prefixes found is
read from its metrics.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np

from benchmarks.corpora import corpora, data_folder
from benchmarks.devsets import query_texts
from benchmarks.publish import publish
from benchmarks.slow_server import slow_server
from benchmarks.tables import Table
from benchmarks.versus import goals
from benchmarks.versus.goals import Goal
from benchmarks.versus.workers.meter import Stopwatch
from drehr_rag import EhrIndex, Patient, load_encoder
from drehr_rag.generators import load_generator
from drehr_rag.qa import QaChain
from drehr_rag.types import Answer, Note

MODULE = "benchmarks.qa"
PATIENTS, EACH = 50, 4
"""Patients, and questions about each."""
SECONDS, SLOTS = (0.2, 1.0), 8
"""Of the servers: a small model's reply of one sentence, a larger one's of a few (some 50 tokens
a second); and requests at a time. What a question costs is measured at the first."""
QUICK = {"patients": 4, "seconds": (0.05, 0.1)}

GOAL_OVERHEAD = 15
"""Milliseconds, median, besides encoding."""
GOAL_BATCHED = 0.9
"""Share of SLOTS / SECONDS."""

Asked = list[tuple[str, Patient]]
_METRIC = re.compile(r"^vllm:prefix_cache_(queries|hits)(?:_total)?\{[^}]*\} ([\d.e+]+)$", re.M)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = _options(arguments)
    data, encoder = data_folder(), load_encoder("offline")
    encoding = Stopwatch(encoder, "encode_queries")
    with (
        tempfile.TemporaryDirectory() as folder,
        EhrIndex.open(Path(folder) / "store", encoder=encoder) as index,
    ):
        asked = _asked(data, Path(folder), index, options.patients)
        with slow_server(options.seconds[0], SLOTS) as url:
            facts = _measured(index, url, asked, encoding, options.seconds[0])
        facts["servers"] = [_served(index, asked, seconds) for seconds in options.seconds]
        if options.url:
            facts["prefix"] = _prefixes(index, options.url, asked)
    rates = _rates(facts, len(asked))
    tables = [_overhead(facts, len(asked)), rates, goals.table("QA: goals", _goals(facts))]
    publish(
        "Questions",
        tables,
        {"qa": facts},
        block="qa",
        by=MODULE,
        options=options,
        few="a few questions",
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}", description=__doc__, formatter_class=shape
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a few patients; shows that it works")
    add("--url", help="a real vLLM server, for its cache of prefixes")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--markdown", type=Path, metavar="PAGE", help="write the tables there, as a block")
    options = parser.parse_args(arguments)
    options.patients = QUICK["patients"] if options.quick else PATIENTS
    options.seconds = QUICK["seconds"] if options.quick else SECONDS
    return options


def _asked(data: Path, scratch: Path, index: EhrIndex, patients: int) -> Asked:
    """Index patients of MTSamples; what is asked about each is drawn from the queries in turn."""
    stream = (note for note in corpora(data, scratch)[0].notes() if isinstance(note, Note))
    notes = list(islice(stream, 4 * patients))
    index.add(notes)
    names = list(dict.fromkeys(note.patient_id for note in notes))[:patients]
    texts = query_texts(data, len(names) * EACH)
    questions = [f"What do the notes tell of {text}?" for text in texts]
    return [(question, Patient(names[n % len(names)])) for n, question in enumerate(questions)]


def _measured(
    index: EhrIndex, url: str, asked: Asked, encoding: Stopwatch, seconds: float
) -> dict[str, Any]:
    with load_generator("openai", url=url, model="slow", concurrency=SLOTS) as generator:
        chain = index.qa_chain(generator)
        for question, scope in asked[:SLOTS]:  # connections, and the model, are warm
            chain.ask(question, scope=scope)
        over, spent, answered = [], [], 0
        encoding.seconds = 0.0
        for question, scope in asked:
            before, started = encoding.seconds, perf_counter()
            answer = chain.ask(question, scope=scope)
            took = perf_counter() - started
            spent.append(took)
            answered += not answer.abstained
            waited = seconds if "generate" in answer.seconds else 0.0
            over.append(took - waited - (encoding.seconds - before))
        encoded = encoding.seconds / len(asked)
    return {"answered": answered, "overhead": over, "encoding": encoded, "one by one": sum(spent)}


def _served(index: EhrIndex, asked: Asked, seconds: float) -> dict[str, Any]:
    """Questions a second at a server that takes so long, and the most that it answers."""
    with slow_server(seconds, SLOTS) as url:
        together = {
            "ask_many, patient by patient": _took(lambda: _by_patient(index, url, asked)),
            "ask_many, all patients": _took(lambda: _all_patients(index, url, asked)),
            f"aask, {2 * SLOTS} under way": _took(
                lambda: asyncio.run(_together(index, url, asked))
            ),
        }
    rates = {name: len(asked) / took for name, took in together.items()}
    return {"seconds": seconds, "best": SLOTS / seconds, "rates": rates}


def _took(work: Callable[[], list[Answer]]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def _by_patient(index: EhrIndex, url: str, asked: Asked) -> list[Answer]:
    with load_generator("openai", url=url, model="slow", concurrency=SLOTS) as generator:
        chain = index.qa_chain(generator)
        return [
            answer
            for patient in dict.fromkeys(scope for _, scope in asked)
            for answer in chain.ask_many([q for q, s in asked if s == patient], scope=patient)
            if isinstance(answer, Answer)
        ]


def _all_patients(index: EhrIndex, url: str, asked: Asked) -> list[Answer]:
    with load_generator("openai", url=url, model="slow", concurrency=SLOTS) as generator:
        questions, scopes = zip(*asked, strict=True)
        answers = index.qa_chain(generator).ask_many(questions, scope=scopes)
        return [answer for answer in answers if isinstance(answer, Answer)]


async def _together(index: EhrIndex, url: str, asked: Asked) -> list[Answer]:
    """Twice as many under way as the server takes: some are prepared while others wait."""
    async with load_generator("openai", url=url, model="slow", concurrency=SLOTS) as generator:
        chain: QaChain = index.qa_chain(generator)
        turn = asyncio.Semaphore(2 * SLOTS)

        async def one(question: str, scope: Patient) -> Answer:
            async with turn:
                return await chain.aask(question, scope=scope)

        return list(await asyncio.gather(*(one(*each) for each in asked)))


def _prefixes(index: EhrIndex, url: str, asked: Asked) -> dict[str, float]:
    """Tokens of the prompts that the server looked up in its cache, and those it found."""
    page = httpx.URL(url).copy_with(path="/metrics")

    def counted() -> dict[str, float]:
        found = _METRIC.findall(httpx.get(page).raise_for_status().text)
        return {name: float(value) for name, value in found}

    before = counted()
    with load_generator("openai", url=url, max_tokens=1) as generator:  # prompts alone count
        chain = index.qa_chain(generator)
        for patient in dict.fromkeys(scope for _, scope in asked):
            chain.ask_many([q for q, s in asked if s == patient], scope=patient)
    after = counted()
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _overhead(facts: dict[str, Any], questions: int) -> Table:
    p50, p95 = _percentiles(facts)
    table = Table("QA: besides the model, in milliseconds", ("what", "p50", "p95", "mean"))
    table.add("all but the model and encoding", f"{p50:.1f}", f"{p95:.1f}", None)
    table.add("encoding the question", None, None, f"{1000 * facts['encoding']:.1f}")
    table.note = (
        f"{questions} questions by `ask`, one by one, to a server that takes a fixed time: the "
        "whole time less that time and less the encoding. What the loopback and its sleep take "
        "longer is in it."
    )
    if prefix := facts.get("prefix"):
        share = prefix["hits"] / prefix["queries"]
        table.note += (
            f" A real vLLM server found {share:.2f} of the prompts' tokens in its cache of "
            "prefixes, asked patient by patient."
        )
    return table


def _rates(facts: dict[str, Any], questions: int) -> Table:
    columns = ("a reply takes, s", "way", "questions/s", "of the server's best")
    table = Table("QA: questions a second", columns)
    first, *others = facts["servers"]
    alone = {"ask, one by one": questions / facts["one by one"]}
    for server, rates in [(first, alone | first["rates"]), *((o, o["rates"]) for o in others)]:
        for way, rate in rates.items():
            table.add(f"{server['seconds']:g}", way, f"{rate:.1f}", f"{rate / server['best']:.2f}")
    table.note = (
        f"The server's best: {SLOTS} at a time, {first['best']:.0f} a second where a reply takes "
        f"{first['seconds']:g} s. Patient by patient, {EACH} questions are under way at most, and "
        f"{min(1, EACH / SLOTS):.2f} of it can be had."
    )
    return table


def _percentiles(facts: dict[str, Any]) -> tuple[float, float]:
    p50, p95 = np.percentile(1000 * np.array(facts["overhead"]), [50, 95])
    return float(p50), float(p95)


def _goals(facts: dict[str, Any]) -> list[Goal]:
    overhead = goals.below(
        "a question, besides model and encoding, p50", GOAL_OVERHEAD, _percentiles(facts)[0], "ms"
    )
    return [overhead, *map(_throughput, facts["servers"])]


def _throughput(server: dict[str, Any]) -> Goal:
    name = f"questions a second, beside the best of a server that takes {server['seconds']:g} s"
    return goals.at_least(name, GOAL_BATCHED, max(server["rates"].values()) / server["best"])


if __name__ == "__main__":
    main()
