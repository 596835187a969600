"""A chain over a real index, with a server of chat completions: found, allowed, asked, recorded."""

import asyncio
import hashlib
import json
import re
import stat

import pytest
from chat_server import END, Refused, Steps, chat_server

from drehr_rag import AllPatients, EhrIndex, Note, Patient, __version__
from drehr_rag.errors import (
    BadArgument,
    GeneratorError,
    NotAllowed,
    ReplyUnusable,
    ScopeError,
    ScopeRequired,
)
from drehr_rag.generators import load_generator
from drehr_rag.qa import AuditLog, QaChain, Settings
from drehr_rag.types import NOTICE, Answer, AnswerSentence

pytestmark = pytest.mark.usefixtures("one_encoder")

SECRET = "Zebedee"
NOTES = [
    Note(note_id="n1", patient_id="p1", text=f"{SECRET} has gout. Allopurinol 300 mg daily."),
    Note(note_id="n2", patient_id="p1", text="Metformin stopped for acute kidney injury."),
    Note(note_id="n3", patient_id="p2", text="No gout. Penicillin allergy."),
]
P1 = Patient("p1")


def said(*claims, **more):
    rows = [{"text": text, "passages": [1], "quote": quote} for text, quote in claims]
    return json.dumps({"not_in_notes": False, "sentences": rows} | more)


GOUT = ("It is gout.", "has gout")


def number_of(words, prompt):
    """Under which number the passage stands that holds the words."""
    return int(re.search(rf'<passage number="(\d)"[^>]*>\n[^<]*{words}', prompt)[1])


def about_gout(prompt, _):
    reply = json.loads(said(GOUT, ("Invented.", "not there")))
    for claim in reply["sentences"]:
        claim["passages"] = [number_of("has gout", prompt)]
    return json.dumps(reply)


@pytest.fixture(scope="module")
def index():
    with EhrIndex.open(":memory:", encoder="offline") as made:
        made.add(NOTES)
        yield made


@pytest.fixture
def server():
    with chat_server(about_gout) as running:
        yield running


@pytest.fixture
def chain_of(index, server):
    with load_generator("openai", url=server.url, retries=0) as generator:
        yield lambda **options: index.qa_chain(generator, **options)


def test_an_answer_with_all_that_is_known_of_it(chain_of):
    answer = chain_of().ask("Does he have gout?", scope=P1)
    assert [s.text for s in answer.sentences] == ["It is gout."]
    assert [(c.note_id, c.quote) for c in answer.citations] == [("n1", "has gout")]
    assert (answer.removed, answer.confidence, answer.notice) == (1, 0.5, NOTICE)
    assert answer.tokens == {"prompt": 100, "completion": 7}
    assert list(answer.seconds) == ["retrieve", "pack", "generate", "verify"]
    assert answer.trace.queries == ("Does he have gout?",)
    assert SECRET not in repr(answer)


def test_each_way_of_asking_gives_the_same(chain_of):
    chain, question = chain_of(), "Does he have gout?"

    async def others():
        parts = [part async for part in chain.astream(question, scope=P1)]
        return await chain.aask(question, scope=P1), parts

    answer, parts = asyncio.run(others())
    (batch,) = chain.ask_many([question], scope=P1)
    first = chain.ask(question, scope=P1)
    for other in (answer, parts[-1], batch):
        assert other.sentences == first.sentences
        assert (other.removed, other.trace, other.tokens) == (1, first.trace, first.tokens)
    assert parts[:-1] == list(first.sentences)


def test_sentences_come_before_the_reply_is_whole(chain_of, server):
    whole = said(GOUT, ("Allopurinol.", "Allopurinol 300 mg"))
    middle = whole.index("}, {") + 1
    server.say = lambda prompt, _: Steps(
        whole[:30].replace("[1]", "[1]"), whole[30:middle], 0.2, whole[middle:], END
    )
    seen = []

    async def listen():
        async for part in chain_of().astream("gout", scope=P1):
            seen.append(part)
            if len(seen) == 1 and isinstance(part, AnswerSentence):
                break

    asyncio.run(listen())
    assert [type(part) for part in seen] == [AnswerSentence]


@pytest.mark.parametrize(
    "reply",
    [
        said(GOUT).replace("false", "true"),
        json.dumps({"sentences": json.loads(said(GOUT))["sentences"], "not_in_notes": True}),
    ],
)
def test_what_the_model_takes_back_is_never_shown(chain_of, server, reply):
    server.say = lambda *_: reply

    async def listen():
        return [part async for part in chain_of().astream("gout", scope=P1)]

    (answer,) = asyncio.run(listen())
    assert answer.abstained


def test_a_stream_that_breaks_off_is_an_error_after_what_had_come(chain_of, server, tmp_path):
    whole = said(GOUT, ("Allopurinol.", "Allopurinol 300 mg"))
    server.say = lambda *_: Steps(whole[: whole.index("}, {") + 2], None)
    audit = tmp_path / "audit.jsonl"
    chain, seen = chain_of(audit=AuditLog(audit)), []

    async def listen():
        async for part in chain.astream("gout", scope=P1):
            seen.append(part)

    with pytest.raises(GeneratorError):
        asyncio.run(listen())
    assert [type(part) for part in seen] == [AnswerSentence]
    assert json.loads(audit.read_text())["error"]


def test_a_reply_that_was_cut_is_an_error(chain_of, server):
    server.say = lambda *_: {"message": {"content": said(GOUT)}, "finish_reason": "length"}
    with pytest.raises(ReplyUnusable, match="cut"):
        chain_of().ask("gout", scope=P1)
    server.say = lambda *_: Steps(said(GOUT), b'data: {"choices": [{"index": 0, "delta": {}, '
                                  b'"finish_reason": "length"}]}\n\ndata: [DONE]\n\n')  # fmt: skip

    async def listen():
        return [part async for part in chain_of().astream("gout", scope=P1)]

    with pytest.raises(ReplyUnusable, match="cut"):
        asyncio.run(listen())


def test_of_many_questions_one_failure_loses_no_other(chain_of, server):
    def say(prompt, number):
        return Refused(400) if "allopurinol?" in prompt else about_gout(prompt, number)

    server.say = say
    questions = ["gout?", "allopurinol?", "and gout?"]
    answers = chain_of().ask_many(questions, scope=P1)
    assert [type(one).__name__ for one in answers][::2] == ["Answer", "Answer"]
    assert isinstance(answers[1], GeneratorError)
    assert [one.question for one in answers[::2]] == questions[::2]


def test_nothing_in_scope_asks_nobody(chain_of, server):
    answer = chain_of().ask("gout", scope=Patient("p9"))
    assert (answer.abstained, answer.tokens, server.prompts) == (True, None, [])
    assert answer.notice == NOTICE


def test_entities_are_searched_for_besides(index):
    class Silent:
        def generate(self, request):
            return said()

    settings = Settings(entities=lambda question: ["metformin", "", "gout"], passages=2)
    chain = index.qa_chain(Silent(), settings=settings)
    answer = chain.ask("Why was it stopped, and what joint disease?", scope=P1)
    assert answer.trace.queries[1:] == ("metformin", "gout")
    assert {hit.chunk.note_id for hit in answer.hits} == {"n1", "n2"}


def test_who_may_not_read_is_refused_before_anything_is_searched(tmp_path):
    def search(*_, **__):
        raise AssertionError("searched")

    class Nobody:
        model = "m"

    asked = []

    def allow(caller, scope):
        asked.append((caller, scope))
        return isinstance(scope, Patient) and scope.patient_id == "p2"

    audit = tmp_path / "audit.jsonl"
    chain = QaChain(search, Nobody(), allow=allow, caller="dr-a", audit=AuditLog(audit))
    ways = [
        lambda: chain.ask("gout", scope=P1),
        lambda: chain.ask_many(["gout", "x y"], scope=P1),
        lambda: asyncio.run(chain.aask("gout", scope=P1)),
        lambda: asyncio.run(anext(aiter(chain.astream("gout", scope=P1)))),
    ]
    for ask in ways:
        with pytest.raises(NotAllowed, match="may not read") as caught:
            ask()
        assert isinstance(caught.value, ScopeError)
    assert asked == [("dr-a", P1)] * 4
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [line["error"] for line in lines] == ["NotAllowed"] * 4


def test_the_audit_says_who_asked_what_and_no_words(chain_of, tmp_path):
    path = tmp_path / "audit.jsonl"
    chain = chain_of(audit=AuditLog(path), caller="dr-a")
    answer = chain.ask("Does he have gout?", scope=P1)
    line = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert line["caller"] == "dr-a"
    assert line["scope"] == {"kind": "Patient", "patient_id": "p1"}
    assert line["question_sha256"] == hashlib.sha256(b"Does he have gout?").hexdigest()
    assert line["chunk_ids"] == [hit.chunk.chunk_id for hit in answer.hits]
    assert line["cited"] == [answer.citations[0].chunk_id]
    assert (line["model"], line["drehr_rag"]) == ("tiny-chat", __version__)
    assert line["tokens"] == {"prompt": 100, "completion": 7}
    text = path.read_text()
    assert "gout" not in text
    assert SECRET not in text
    AuditLog(path, text=True).record(
        "Why?", AllPatients(reason="r"), answer, caller=None, model="m"
    )
    second = json.loads(path.read_text().splitlines()[1])
    assert (second["question"], second["answer"]) == ("Why?", "It is gout.")


def test_an_audit_that_cannot_be_written_is_told_at_once(tmp_path):
    with pytest.raises(BadArgument, match="cannot be written"):
        AuditLog(tmp_path)


def test_what_cannot_be_meant(index):
    chain = index.qa_chain()
    for ask in (chain.ask, chain.aask, chain.astream, chain.ask_many):
        with pytest.raises(ScopeRequired):
            ask("gout")
    with pytest.raises(BadArgument, match="question"):
        chain.ask("  ", scope=P1)
    with pytest.raises(BadArgument, match="questions"):
        chain.ask_many("gout", scope=P1)
    with pytest.raises(BadArgument, match="unsupported is one of remove, flag"):
        Settings(unsupported="keep")
    with pytest.raises(BadArgument, match="budget"):
        Settings(budget=0)


def test_without_a_generator_the_notes_are_quoted(index):
    answer = index.qa_chain().ask("allopurinol 300 mg daily", scope=P1)
    assert isinstance(answer, Answer)
    assert answer.sentences[0].text == "Allopurinol 300 mg daily."


def test_a_rule_that_breaks_is_on_record_too(tmp_path):
    class Nobody:
        name = "m"

    def broken(caller, scope):
        raise KeyError(caller)

    path = tmp_path / "audit.jsonl"
    chain = QaChain(lambda *_, **__: [], Nobody(), allow=broken, audit=AuditLog(path))
    with pytest.raises(KeyError):
        chain.ask("gout", scope=P1)
    assert json.loads(path.read_text())["error"] == "KeyError"
    with pytest.raises(ScopeRequired):
        chain.ask("gout", scope=None)


def test_a_stream_that_is_left_says_what_was_read(chain_of, tmp_path):
    path = tmp_path / "audit.jsonl"
    chain = chain_of(audit=AuditLog(path))

    async def leave():
        parts = chain.astream("gout", scope=P1)
        await anext(parts)
        await parts.aclose()

    asyncio.run(leave())
    line = json.loads(path.read_text())
    assert line["error"] == "GeneratorExit"
    assert line["chunk_ids"]
