"""Many questions at once: as one by one, in their order, a few prepared ahead, none lost."""

import asyncio
import json
import re
import signal
import threading

import pytest
from chat_server import Refused, Steps, chat_server

from drehr_rag import Cohort, EhrIndex, Note, Patient
from drehr_rag.errors import (
    BadArgument,
    GeneratorError,
    ScopeRequired,
    StoreError,
    TextTooLong,
)
from drehr_rag.generators import load_generator
from drehr_rag.qa import AuditLog, QaChain, Settings
from drehr_rag.qa.many import WINDOW
from drehr_rag.qa.understanding import ByGenerator
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Answer

pytestmark = pytest.mark.timeout(60)

P1, P2 = Patient("p1"), Patient("p2")
NOTES = [
    Note(note_id="n1", patient_id="p1", text="She has gout. Allopurinol 300 mg daily."),
    Note(note_id="n2", patient_id="p1", text="Metformin stopped for acute kidney injury."),
    Note(note_id="n3", patient_id="p2", text="He has asthma. Penicillin allergy."),
]
ASKED = [
    ("Is there gout?", P1),
    ("What was stopped, and why?", P1),
    ("Any allergy?", P2),
    ("What is the latest dose of allopurinol?", P1),
    ("Anything?", Patient("nobody")),
    ("Which diseases?", Cohort(["p1", "p2"])),
] * 4


def quoting(prompt, _=0):
    """The first words of the first passage."""
    quote = re.search(r'<passage number="1"[^>]*>\n([^.]*)', prompt)[1]
    sentence = {"text": quote, "passages": [1], "quote": quote}
    return json.dumps({"not_in_notes": False, "sentences": [sentence]})


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as made:
        made.add(NOTES)
        yield made


@pytest.fixture
def real_index(one_encoder):
    with EhrIndex.open(":memory:", encoder="offline") as made:
        made.add(NOTES)
        yield made


@pytest.fixture
def server():
    with chat_server(quoting) as running:
        yield running


@pytest.fixture
def generator(server):
    with load_generator("openai", url=server.url, retries=0, concurrency=4) as made:
        yield made


def alike(answer, other):
    assert (answer.question, answer.sentences) == (other.question, other.sentences)
    assert (answer.abstained, answer.removed) == (other.abstained, other.removed)
    assert [h.chunk.chunk_id for h in answer.hits] == [h.chunk.chunk_id for h in other.hits]
    assert answer.trace == other.trace
    assert (answer.tokens, answer.notice) == (other.tokens, other.notice)
    assert answer.seconds.keys() == other.seconds.keys()


def test_the_same_as_one_by_one_with_a_real_encoder(real_index, generator):
    chain = real_index.qa_chain(generator)
    questions, scopes = zip(*ASKED, strict=True)
    for answer, (question, scope) in zip(
        chain.ask_many(questions, scope=scopes), ASKED[:6], strict=False
    ):
        alike(answer, chain.ask(question, scope=scope))


@pytest.mark.parametrize("extractive", [False, True])
def test_the_same_as_one_by_one_and_in_their_order(index, generator, extractive):
    named = Settings(entities=lambda question: [w for w in ("gout", "allergy") if w in question])
    chain = index.qa_chain(None if extractive else generator, settings=named)
    questions, scopes = zip(*ASKED, strict=True)
    alone = [chain.ask(question, scope=scope) for question, scope in ASKED]
    awaited = asyncio.run(chain.aask_many(questions, scope=scopes))
    for many in (chain.ask_many(questions, scope=scopes), awaited):
        for answer, other in zip(many, alone, strict=True):
            alike(answer, other)
    alike(chain.ask_many(questions[:1], scope=P1)[0], alone[0])
    assert chain.ask_many([], scope=P1) == []


def test_what_is_asked_of_one_patient_is_searched_for_together(index, generator):
    searched = []

    def search(queries, *, scope, **more):
        searched.append((list(queries), scope))
        return index.search_batch(queries, scope=scope, **more)

    QaChain(search, generator).ask_many([f"gout {n}?" for n in range(6)], scope=P1)
    assert [len(queries) for queries, _ in searched] == [2, 4]


def test_an_error_in_one_question_loses_no_other(index, generator, server, tmp_path):
    def search(queries, **more):
        if any("endless" in query for query in queries):
            raise TextTooLong("too long")
        return index.search_batch(queries, **more)

    server.say = lambda prompt, _: Refused(400) if "broken" in prompt else quoting(prompt)
    audit = tmp_path / "audit.jsonl"
    chain = QaChain(search, generator, audit=AuditLog(audit))
    questions = ["gout?", "a broken one?", "an endless one?", "and gout?"]
    for ask in (chain.ask_many, lambda *a, **b: asyncio.run(chain.aask_many(*a, **b))):
        found = ask(questions, scope=P1)
        assert [one.question for one in found[::3]] == questions[::3]
        assert isinstance(found[1], GeneratorError) and isinstance(found[2], TextTooLong)
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert (
        sorted(line.get("error", "") for line in lines)
        == [""] * 4
        + [
            type(found[1]).__name__,
        ]
        * 2
        + ["TextTooLong"] * 2
    )


def test_what_is_wrong_for_all_is_raised_as_it_is(generator):
    def search(*_, **__):
        raise StoreError("closed")

    chain = QaChain(search, generator)
    for ask in (chain.ask_many, lambda *a, **b: asyncio.run(chain.aask_many(*a, **b))):
        with pytest.raises(StoreError, match="closed"):
            ask(["gout?"] * 5, scope=P1)


def test_the_next_are_prepared_while_others_wait(index, server, generator):
    later, seen = threading.Event(), []

    def search(queries, **more):
        if any("40" in query for query in queries):
            later.set()
        return index.search_batch(queries, **more)

    def say(prompt, _):
        if "number 0?" in prompt:
            seen.append(later.wait(20))  # of a search that comes while this is asked
        return quoting(prompt)

    server.say = say
    found = QaChain(search, generator).ask_many([f"number {n}?" for n in range(60)], scope=P1)
    assert seen == [True]
    assert [one.question for one in found] == [f"number {n}?" for n in range(60)]


def test_however_many_few_are_in_memory(index, server, generator):
    lock, counts, most = threading.Lock(), {"prepared": 0, "answered": 0}, []

    def count(what, number):
        with lock:
            counts[what] += number
            most.append(counts["prepared"] - counts["answered"])

    def search(queries, **more):
        count("prepared", len(queries))
        return index.search_batch(queries, **more)

    def say(prompt, _):
        count("answered", 1)
        return quoting(prompt)

    server.say = say
    found = QaChain(search, generator).ask_many(["gout?"] * 150, scope=P1)
    assert len(found) == 150 and all(isinstance(one, Answer) for one in found)
    assert max(most) <= 4 + 2 * WINDOW


def test_who_interrupts_ends_the_requests_and_keeps_the_record(index, server, generator, tmp_path):
    audit, main = tmp_path / "audit.jsonl", threading.get_ident()
    server.say = lambda prompt, _: Steps(60) if "stuck" in prompt else quoting(prompt)
    chain = index.qa_chain(generator, audit=AuditLog(audit))

    def interrupt():
        server.wait_for(lambda s: len(s.prompts) == 2)
        while not audit.read_text():
            threading.Event().wait(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            chain.ask_many(["gout?", "stuck?"], scope=P1)
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert server.wait_for(lambda s: s.left == 1)
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [line.get("error") for line in lines] == [None, "KeyboardInterrupt"]


def test_cancelling_ends_the_requests(index, server, generator):
    server.say = lambda *_: Steps(60)

    async def leave():
        task = asyncio.create_task(index.qa_chain(generator).aask_many(["gout?"] * 3, scope=P1))
        await asyncio.to_thread(server.wait_for, lambda s: len(s.prompts) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert server.wait_for(lambda s: s.left == 3)


def test_a_rule_that_takes_its_time_blocks_nobody_else(index, generator):
    others = threading.Event()
    waited = []

    def allow(caller, scope):
        waited.append(others.wait(20))
        return True

    async def ask():
        chain = index.qa_chain(generator, allow=allow)
        asked = asyncio.gather(
            chain.aask("gout?", scope=P1),
            chain.aask_many(["gout?"], scope=P1),
            anext(aiter(chain.astream("gout?", scope=P1))),
        )
        await asyncio.sleep(0)
        others.set()
        await asked

    asyncio.run(ask())
    assert waited == [True] * 3


def test_scopes_that_fit_no_question(index, generator):
    chain = index.qa_chain(generator)
    with pytest.raises(BadArgument, match="2 questions need one scope or 2, not 1"):
        chain.ask_many(["gout?", "asthma?"], scope=[P1])
    for wrong in (["p1"], "p1", None):
        with pytest.raises(ScopeRequired):
            chain.ask_many(["gout?"], scope=wrong)


def test_entities_of_many_are_asked_for_at_once(index, server, generator):
    def say(prompt, _):
        if "broken" in prompt:
            return 400
        if prompt.startswith("Name the clinical entities"):
            return json.dumps({"entities": ["kidney injury"]})
        return quoting(prompt)

    server.say = say
    chain = index.qa_chain(generator, settings=Settings(entities=ByGenerator(generator)))
    first, broken, last = chain.ask_many(["gout?", "broken?", "asthma?"], scope=P1)
    assert isinstance(broken, GeneratorError)
    assert [one.trace.queries[1:] for one in (first, last)] == [("kidney injury",)] * 2
    quiet = ByGenerator(index.qa_chain()._generator)  # cannot be asked many at once
    assert quiet.many(["gout?", "asthma?"]) == [quiet("gout?"), quiet("asthma?")]


def test_streamed_into_a_plain_loop(index, server, generator):
    chain = index.qa_chain(generator)
    sentence, answer = chain.stream("gout?", scope=P1)
    alike(answer, chain.ask("gout?", scope=P1))
    assert answer.sentences == (sentence,)
    whole = quoting(server.prompts[0])
    server.say = lambda *_: Steps(whole[:-2], 60)
    parts = chain.stream("gout?", scope=P1)
    assert next(parts) == sentence
    parts.close()
    assert server.wait_for(lambda s: s.left == 1)
    assert list(index.qa_chain().stream("gout", scope=P1))[-1].citations
