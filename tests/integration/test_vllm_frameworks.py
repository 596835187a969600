"""The frameworks' examples with a real vLLM server; its model is random and says nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from vllm_server import serving, tiny_llama

from drehr_rag import AllPatients, EhrIndex, ward
from drehr_rag.integrations.langchain import DrEhrRetriever

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The environment in which the examples find the server."""
    folder = tmp_path_factory.mktemp("llama")
    tiny_llama(folder)
    tools = ("--enable-auto-tool-choice", "--tool-call-parser", "pythonic")
    with serving(folder, *tools, log=folder / "log") as (url, _):
        yield {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", "MODEL": "tiny"}


@pytest.mark.parametrize(
    ("example", "shown", "scripted"),
    [
        (
            "langchain_rag_agent",
            r"^human: Why was enoxaparin stopped\?\nai: \s*\S",
            "argatroban was",
        ),
        ("langchain_two_step_chain", r"(^    p01 .*\n){3}\s*\S", "Apixaban, 5 mg twice a day."),
        ("llama_index_starter", r"^p04 → (.|\n)*^    \d\.\d\d p04-n\d", "Context information"),
        ("llama_index_chat", r"^    \d\.\d\d p08-n\d(.|\n)*4 messages in memory", "I was shown"),
    ],
)
def test_examples_with_a_served_model(served, example, shown, scripted):
    run = subprocess.run(
        [sys.executable, EXAMPLES / f"{example}.py"],
        env={**os.environ, **served},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert re.search(shown, run.stdout, re.MULTILINE), run.stdout
    assert scripted not in run.stdout, "the stand-in answered"


def test_a_served_model_calls_the_tool_within_the_session_s_patient(served, monkeypatch):
    from langchain_openai import ChatOpenAI

    for name, value in served.items():
        monkeypatch.setenv(name, value)
    with EhrIndex.open(":memory:", encoder="offline") as index:
        index.add(note for note in ward.notes() if note.patient_id in ("p04", "p08"))
        tool = DrEhrRetriever(index=index, scope=AllPatients(reason="test"), k=4).as_tool()
        model = ChatOpenAI(model="tiny", max_tokens=2_000)
        asked = model.bind_tools([tool], tool_choice=tool.name).invoke("Why was it stopped?")
        [call] = asked.tool_calls
        assert call["name"] == tool.name and set(call["args"]) == {"query"}
        call["args"]["query"] += " heparin"  # a random model may write no letter at all
        found = tool.invoke(call, {"configurable": {"patient_id": "p08"}})
        assert {document.metadata["patient_id"] for document in found.artifact} == {"p08"}
