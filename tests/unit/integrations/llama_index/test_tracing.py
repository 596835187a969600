"""Notes do not go to a tracer that may send them elsewhere."""

import llama_index.core
import pytest
from llama_index.core import set_global_handler
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.settings import Settings
from pydantic import Field

from drehr_rag.errors import TracingRefused
from drehr_rag.index import EhrIndex
from drehr_rag.integrations.llama_index import DrEhrEmbedding, DrEhrRetriever
from drehr_rag.testing import HashEncoder
from drehr_rag.types import Note, Patient


class Exporter(BaseEventHandler):
    """Such as OpenInference's; keeps what it would send."""

    sent: list = Field(default_factory=list)

    def handle(self, event, **kwargs):
        self.sent.append(event)


class Hosted(LlamaDebugHandler):
    """Such as Arize Phoenix's; a class of its own, though derived from LlamaIndex's."""


class Spans(SimpleSpanHandler):
    """Such as OpenTelemetry's."""


@pytest.fixture
def retriever():
    with EhrIndex.open(":memory:", encoder=HashEncoder()) as index:
        index.add([Note(note_id="n1", patient_id="p1", text="Gout of the left toe.")])
        yield DrEhrRetriever(index, scope=Patient("p1"))


@pytest.fixture
def clean(monkeypatch):
    monkeypatch.delenv("DREHR_ALLOW_TRACING", raising=False)
    yield
    llama_index.core.global_handler = None
    Settings._callback_manager = None  # a new manager would inherit the handlers


def refused(retriever):
    calls = [
        lambda: DrEhrEmbedding(encoder=HashEncoder()),
        lambda: DrEhrRetriever(retriever._index, scope=Patient("p1")),
        lambda: retriever.retrieve("gout"),
        lambda: retriever.retrieve_grouped("gout"),
    ]
    for call in calls:
        with pytest.raises(TracingRefused, match="DREHR_ALLOW_TRACING=1") as error:
            call()
        assert "Gout" not in str(error.value)


def allowed(retriever):
    assert len(retriever.retrieve("gout")) == 1
    assert DrEhrEmbedding(encoder=HashEncoder()).get_query_embedding("gout")


def test_a_global_handler_is_refused(retriever, clean, monkeypatch):
    allowed(retriever)
    llama_index.core.global_handler = Hosted(print_trace_on_end=False)
    refused(retriever)
    monkeypatch.setenv("DREHR_ALLOW_TRACING", "0")
    refused(retriever)
    monkeypatch.setenv("DREHR_ALLOW_TRACING", "1")
    allowed(retriever)


def test_a_handler_of_the_settings_is_refused(retriever, clean):
    Settings.callback_manager = CallbackManager([Hosted(print_trace_on_end=False)])
    refused(retriever)


def test_a_handler_of_the_component_is_refused(retriever, clean):
    manager = CallbackManager([Hosted(print_trace_on_end=False)])
    with pytest.raises(TracingRefused):
        DrEhrRetriever(retriever._index, scope=Patient("p1"), callback_manager=manager)
    with pytest.raises(TracingRefused):
        DrEhrEmbedding(encoder=HashEncoder(), callback_manager=manager)


@pytest.mark.parametrize("name", ["root", "drehr_rag.integrations.llama_index.retriever"])
def test_handlers_of_the_instrumentation_are_refused(retriever, clean, name):
    dispatcher = get_dispatcher(name)
    exporter, spans = Exporter(), Spans()
    for handlers, handler in (
        (dispatcher.event_handlers, exporter),
        (dispatcher.span_handlers, spans),
    ):
        handlers.append(handler)
        try:
            refused(retriever)
        finally:
            handlers.remove(handler)
    assert "left toe" not in str(exporter.sent)
    allowed(retriever)


def test_handlers_that_stay_in_the_process_are_not_refused(retriever, clean):
    set_global_handler("simple")
    allowed(retriever)
    llama_index.core.global_handler = None
    Settings.callback_manager = CallbackManager(
        [LlamaDebugHandler(print_trace_on_end=False), TokenCountingHandler()]
    )
    allowed(retriever)
    root = get_dispatcher()
    local = SimpleSpanHandler()
    root.span_handlers.append(local)
    try:
        allowed(retriever)
    finally:
        root.span_handlers.remove(local)
