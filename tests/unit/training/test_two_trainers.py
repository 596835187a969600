"""Two processes (gloo) train as one with the whole batch does."""

import json
import os
import socket
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch.distributed as dist
import torch.multiprocessing as mp
from unit.training import synonym_task as synonyms

from drehr_rag.errors import TrainingError
from drehr_rag.training.first_process import in_first
from drehr_rag.training.resuming import last_checkpoint
from drehr_rag.training.run import train

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")

SETTINGS = replace(synonyms.SMALL, gather=True, grouped=False, steps=3, batch=6, lr=1e-3)


def trained(folder, name, settings):
    torch.set_num_threads(1)
    files = [(folder / "examples.jsonl.gz", 1.0)]
    options = {"device": "cpu", "tensorboard": False}
    train(str(folder / "bert"), files, folder / name, settings, **options)


def one_of_two(rank, port, folder, settings):
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    trained(folder, "two", settings)
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [None, 5])
def test_two_processes_train_as_one(chunk, tmp_path):
    from safetensors.torch import load_file, save_file

    synonyms.save_model(tmp_path / "bert")
    config = tmp_path / "bert" / "config.json"  # dropout would differ: each draws its own
    changed = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | changed))
    file = tmp_path / "bert" / "model.safetensors"
    save_file({k: v * 5 for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    synonyms.example_file(tmp_path, count=40)
    settings = replace(SETTINGS, chunk=chunk)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two, (port, tmp_path, settings), nprocs=2)
    trained(tmp_path, "one", replace(settings, batch=12))
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("two", "one")
    ]
    assert [row["step"] for row in logs[0]] == [1, 2, 3]
    for two, one in zip(*logs, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name, value in one.items():
        assert (value - two[name]).abs().max() < 2e-4, name
    manifest = json.loads((tmp_path / "two" / "training_manifest.json").read_text())
    assert manifest["processes"] == 2


def asked_in_the_first(rank, port, place):
    """Each process writes what it was told; only the first may look, and what it finds wrong."""
    from transformers import TrainingArguments

    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    args = TrainingArguments(str(place / "x"), use_cpu=True, ddp_backend="gloo", report_to="none")
    made = [in_first(args, lambda: f"by {rank}")]
    try:
        in_first(args, lambda: last_checkpoint(place) if rank else refuse())
    except TrainingError as problem:
        made.append(str(problem))
    (place / str(rank)).write_text(json.dumps(made))
    dist.destroy_process_group()


def refuse():
    raise TrainingError("it leaks")


@pytest.mark.slow
def test_what_the_first_process_says_holds_for_all(tmp_path):
    half = tmp_path / "checkpoints" / "checkpoint-5"
    half.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(asked_in_the_first, (port, tmp_path), nprocs=2)
    told = [json.loads((tmp_path / str(rank)).read_text()) for rank in (0, 1)]
    assert told == [["by 0", "it leaks"]] * 2
    assert half.exists()  # the second process did not clear it away
