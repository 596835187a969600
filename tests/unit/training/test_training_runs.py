"""A training from files to a folder: it learns, is saved whole, goes on where it was stopped."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from unit.training import synonym_task as synonyms

from drehr_rag import load_encoder
from drehr_rag.errors import BadArgument, TrainingError, TrainingStopped
from drehr_rag.training._callbacks import Told
from drehr_rag.training.evaluating import BenchmarkEvaluator
from drehr_rag.training.run import train
from drehr_rag.training.settings import Lora

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["the bao patient", "kao", "no dei at all then"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    synonyms.save_model(folder / "bert")
    synonyms.example_file(folder)
    return folder


def run(place, output, settings=synonyms.SMALL, **options):
    files = options.pop("files", [(place / "examples.jsonl.gz", 1.0)])
    options = {"device": "cpu", "tensorboard": False, **options}
    return train(str(place / "bert"), files, output, settings, **options)


def losses(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"], row["grad_norm"]) for row in rows if "loss" in row]


def weights(folder):
    return load_encoder(str(folder), device="cpu", precision="float32").encode_passages(TEXTS)


class Interrupted(Exception):
    """In place of a kill."""


def interrupt_at(step):
    def progress(done, total, numbers):
        if done == step:
            raise Interrupted

    return progress


def test_it_learns(place, tmp_path):
    settings = replace(synonyms.SMALL, steps=200, batch=16, every=100, loss="infonce", lr=1e-2)
    evaluator = BenchmarkEvaluator(synonyms.task())
    made = run(
        place, tmp_path / "m", settings, evaluator=evaluator, evaluated_on="x", tensorboard=True
    )
    assert made.before["nDCG@10"] < 0.3
    assert made.after["nDCG@10"] > 0.7
    assert made.steps == 200
    again = evaluator(load_encoder(str(tmp_path / "m"), device="cpu", precision="float32"))
    assert again["nDCG@10"] == pytest.approx(made.after["nDCG@10"], abs=0.01)
    assert list((tmp_path / "m" / "runs").glob("events*"))
    assert not (tmp_path / "m" / "checkpoints").exists()


@pytest.mark.parametrize("changes", [{}, {"chunk": 5, "keep": 0.5, "grouped": False}])
def test_resumed_as_if_it_had_never_stopped(changes, place, tmp_path):
    settings = replace(synonyms.SMALL, **changes)
    other = synonyms.example_file(tmp_path, count=20, seed=5, name="other.jsonl")
    files = [(place / "examples.jsonl.gz", 0.5), (other, 1.0)]
    run(place, tmp_path / "whole", settings, files=files)
    with pytest.raises(Interrupted):
        run(place, tmp_path / "cut", settings, files=files, progress=interrupt_at(5))
    half = tmp_path / "cut" / "checkpoints" / "checkpoint-5"
    half.mkdir()  # what a kill leaves in the middle of saving
    run(place, tmp_path / "cut", settings, files=files)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert [step for step, *_ in losses(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]
    assert np.array_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_resumed_before_the_first_checkpoint_and_with_an_evaluation(place, tmp_path):
    evaluator = BenchmarkEvaluator(synonyms.task(24))
    with pytest.raises(Interrupted):
        run(place, tmp_path / "cut", progress=interrupt_at(1), evaluator=evaluator)
    run(place, tmp_path / "cut", evaluator=evaluator)
    run(place, tmp_path / "whole", evaluator=evaluator)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert np.array_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_saved_between_evaluations_that_are_far_apart(place, tmp_path):
    """The best of the evaluations is kept beside the latest, and is what is saved in the end."""
    from safetensors.torch import load_file

    settings = replace(synonyms.SMALL, steps=9, every=4)

    def telling(*numbers):
        scores = iter(numbers)
        return lambda encoder: {"nDCG@10": next(scores)}

    first = telling(0.1, 0.9)  # before the first step, after the fourth
    with pytest.raises(Interrupted):
        run(place, tmp_path / "cut", settings, evaluator=first, progress=interrupt_at(7))
    kept = sorted(place.name for place in (tmp_path / "cut" / "checkpoints").iterdir())
    assert kept == ["checkpoint-4", "checkpoint-6"]
    best = load_file(tmp_path / "cut" / "checkpoints" / "checkpoint-4" / "model.safetensors")
    made = run(place, tmp_path / "cut", settings, evaluator=telling(0.5, 0.4, 0.9))
    assert made.taken == 3
    saved = load_file(tmp_path / "cut" / "model.safetensors")
    word = "embeddings.word_embeddings.weight"
    assert torch.equal(saved[word], next(v for name, v in best.items() if name.endswith(word)))
    run(place, tmp_path / "whole", settings, evaluator=telling(0.1, 0.9, 0.5, 0.4, 0.9))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert np.array_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_what_is_resumed_must_be_the_same(place, tmp_path):
    with pytest.raises(Interrupted):
        run(place, tmp_path / "m", progress=interrupt_at(3))
    with pytest.raises(TrainingError, match=r"other settings \(lr\)"):
        run(place, tmp_path / "m", replace(synonyms.SMALL, lr=1e-3))
    run(place, tmp_path / "m")
    with pytest.raises(TrainingError, match=r"other settings \(lr\)"):
        run(place, tmp_path / "m", replace(synonyms.SMALL, lr=1e-3))


def test_finished_it_tells_what_it_made(place, tmp_path):
    evaluator = BenchmarkEvaluator(synonyms.task(24))
    made = run(place, tmp_path / "m", evaluator=evaluator)
    bytes_ = (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns
    again = run(place, tmp_path / "m", evaluator=evaluator)
    assert (again.taken, made.taken) == (0, 6)
    assert replace(again, taken=6, seconds=made.seconds) == made
    assert (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns == bytes_


def test_what_is_evaluated_and_the_first_weights_must_be_the_same(place, tmp_path):
    from safetensors.torch import load_file, save_file

    evaluator = BenchmarkEvaluator(synonyms.task(24))
    with pytest.raises(Interrupted):
        run(place, tmp_path / "m", progress=interrupt_at(3), evaluator=evaluator)
    for options in ({}, {"evaluator": evaluator, "evaluated_on": "x"}):
        with pytest.raises(TrainingError, match="other evaluated on"):
            run(place, tmp_path / "m", **options)
    shutil.copytree(place / "bert", tmp_path / "bert")
    synonyms.example_file(tmp_path)
    with pytest.raises(Interrupted):
        run(tmp_path, tmp_path / "n", progress=interrupt_at(3))
    file = tmp_path / "bert" / "model.safetensors"
    save_file({k: v * 2 for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="other weights"):
        run(tmp_path, tmp_path / "n")


def test_a_kill_after_the_last_evaluation_does_not_train_on(place, tmp_path, monkeypatch):
    """Patience was over: what is left is to save."""
    from drehr_rag.training import finishing

    settings = replace(synonyms.SMALL, steps=30, every=2, patience=2)

    def told():
        numbers = iter([0.5, 0.6, 0.9, 0.8, 0.7, 0.6])
        return lambda encoder: {"x": next(numbers)}

    run(place, tmp_path / "whole", settings, evaluator=told())
    with monkeypatch.context() as patched:
        patched.setattr(finishing.ContrastiveTrainer, "_load_best_model", interrupt_at_the_end)
        with pytest.raises(Interrupted):
            run(place, tmp_path / "cut", settings, evaluator=told())
    made = run(place, tmp_path / "cut", settings, evaluator=lambda encoder: {"x": 0.6})
    assert (made.steps, made.taken) == (8, 0)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert np.array_equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def interrupt_at_the_end(*_):
    raise Interrupted


def test_a_log_that_cannot_be_written_anew_stays(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    before = log.read_text()

    def full(handle):
        raise OSError(28, "No space left on device")

    state = SimpleNamespace(is_world_process_zero=True, global_step=1)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(TrainingError, match="No space left"):
            Told(log, None).on_train_begin(None, state, None)
    assert log.read_text() == before
    Told(log, None).on_train_begin(None, state, None)
    assert log.read_text() == '{"step": 1, "loss": 2.0}\n'


def test_what_is_measured_is_what_is_saved(place, tmp_path):
    seen = []

    def evaluator(encoder):
        seen.append([name for name, _ in encoder._model.named_modules() if "lora_A" in name])
        return {"x": 1.0}

    lora = Lora(rank=2, alpha=4, layers=("query", "value"))
    run(place, tmp_path / "m", replace(synonyms.SMALL, lora=lora), evaluator=evaluator)
    assert seen[0] and seen[-2]
    assert seen[-1] == []  # merged


def test_a_device_that_is_one_of_several_is_refused(place, tmp_path):
    with pytest.raises(BadArgument, match="CUDA_VISIBLE_DEVICES"):
        run(place, tmp_path / "m", device="cuda:1")


def test_the_best_checkpoint_is_saved_and_patience_ends_it(place, tmp_path):
    told = iter([0.5, 0.6, 0.9, 0.8, 0.7, 0.6])
    settings = replace(synonyms.SMALL, steps=30, every=2, patience=2)
    seen = []

    def evaluator(encoder):
        seen.append(encoder.encode_passages(TEXTS))
        return {"x": next(told)}

    made = run(place, tmp_path / "m", settings, evaluator=evaluator)
    assert made.steps == 8
    assert np.allclose(seen[2], weights(tmp_path / "m"), atol=1e-6)  # 0.9
    assert not np.allclose(seen[3], seen[2], atol=1e-3)
    manifest = json.loads((tmp_path / "m" / "training_manifest.json").read_text())
    assert manifest["saved_step"] == 4
    assert manifest["before"] == {"x": 0.5}


def test_blend_stands_between(place, tmp_path):
    from safetensors.torch import load_file

    run(place, tmp_path / "whole")
    run(place, tmp_path / "half", replace(synonyms.SMALL, blend=0.25))
    begun, trained, half = (
        load_file(folder / "model.safetensors")
        for folder in (place / "bert", tmp_path / "whole", tmp_path / "half")
    )
    for name, mixed in half.items():
        if "pooler" not in name:
            torch.testing.assert_close(mixed, 0.75 * begun[name] + 0.25 * trained[name])


def test_keep_holds_it_near(place, tmp_path):
    def moved(folder):
        return 1 - (weights(place / "bert") * weights(folder)).sum(1).mean()

    settings = replace(synonyms.SMALL, steps=20, loss="infonce")
    run(place, tmp_path / "free", settings)
    run(place, tmp_path / "held", replace(settings, keep=50.0))
    assert moved(tmp_path / "held") < moved(tmp_path / "free") / 2


def test_a_loss_that_is_nan_names_the_batch(place, tmp_path):
    from safetensors.torch import load_file, save_file

    synonyms.save_model(tmp_path / "bert")
    file = tmp_path / "bert" / "model.safetensors"
    broken = load_file(file)
    broken["encoder.layer.1.output.dense.bias"][:] = float("nan")
    save_file(broken, file, metadata={"format": "pt"})
    with pytest.raises(TrainingStopped, match=r"n\d+_0") as stopped:
        train(
            str(tmp_path / "bert"),
            [(place / "examples.jsonl.gz", 1.0)],
            tmp_path / "m",
            synonyms.SMALL,
            device="cpu",
            tensorboard=False,
        )
    assert len(stopped.value.ids) == synonyms.SMALL.batch


@pytest.mark.parametrize(("value", "which"), [(float("nan"), 0), (float("inf"), -1)])
def test_gradients_that_are_no_numbers_stop_it_too(value, which, place, tmp_path, monkeypatch):
    from drehr_rag.training import step

    monkeypatch.setattr(step.Step, "__call__", poisoned(step.Step.__call__, value, which))
    with pytest.raises(TrainingStopped, match=r"n\d+_0"):
        run(place, tmp_path / "m")


def poisoned(real, value, which):
    def call(self, embed, model, one, *, unsynchronised):
        found = real(self, embed, model, one, unsynchronised=unsynchronised)
        [p for p in model.parameters() if p.grad is not None][which].grad[0] = value
        return found

    return call


def test_a_folder_that_holds_something_is_left_alone(place, tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(TrainingError, match="is not empty"):
        run(place, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_examples_that_are_none(place, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(TrainingError, match="holds no example"):
        run(place, tmp_path / "m", files=[(tmp_path / "empty.jsonl", 1.0)])
    with pytest.raises(TrainingError, match="there are no examples"):
        run(place, tmp_path / "m", files=[])
    assert not (tmp_path / "m").exists()


def test_bfloat16_learns_too(place, tmp_path):
    made = run(place, tmp_path / "m", replace(synonyms.SMALL, bf16=True, checkpointing=True))
    assert losses(tmp_path / "m")[-1][1] < losses(tmp_path / "m")[0][1]
    assert made.loss > 0
