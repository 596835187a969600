"""What `train stage1` and `train stage2` share: both train a model on examples."""

import os
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.table import Table

from drehr_rag.cli._options import Json, pairs
from drehr_rag.cli._show import console, print_json
from drehr_rag.cli.eval._options import bar, tell
from drehr_rag.cli.train import _guard as g
from drehr_rag.errors import BadArgument
from drehr_rag.training.presets import MODELS, PRESETS, preset
from drehr_rag.training.settings import Settings

Examples = Annotated[
    list[str],
    typer.Option(
        help="JSON Lines of examples, gzipped or not; may be repeated. With =WEIGHT an epoch has "
        "that share of it, or that many times.",
        metavar="FILE[=WEIGHT]",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        help="Folder for the model: new, or of the same training, which then goes on.",
        metavar="DIR",
    ),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="The preset's, or offline, a folder or hub id of a sentence-transformers model, "
        "dr-ehr-small:FOLDER (CLS of any BERT), dr-ehr-large:FOLDER (NV-Embed).",
    ),
]
Preset = Annotated[str, typer.Option("--preset", help=f"{', '.join(PRESETS)}.")]
Loss = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="multi-similarity or infonce, instead of the preset's."),
]
Variant = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Of multi-similarity: released or wang2019."),
]
Symmetric = Annotated[
    bool,
    typer.Option("--symmetric", help="Of infonce: entities are told which chunk is theirs, too."),
]
NoMask = Annotated[
    bool, typer.Option("--no-mask", help="False negatives stay, as in the released code.")
]
Number = Optional[int]  # noqa: UP045
Rate = Optional[float]  # noqa: UP045
Steps = Annotated[Number, typer.Option(help="Instead of epochs.")]
Batch = Annotated[Number, typer.Option(help="Chunks in a batch of each process.")]
Positives = Annotated[Number, typer.Option(help="Entities of each chunk in a batch.")]
Lr = Annotated[Rate, typer.Option(help="Highest learning rate.")]
Seed = Annotated[Number, typer.Option(help="Of order, sampling and dropout.")]
Bf16 = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--bf16/--no-bf16", help="Compute in bfloat16."),
]
Chunk = Annotated[
    Number,
    typer.Option(
        "--grad-cache-chunk", help="Texts encoded at a time: less memory, a third more time."
    ),
]
Keep = Annotated[
    Rate, typer.Option(help="Weight of a term that holds embeddings near the initial model's.")
]
Blend = Annotated[
    Rate, typer.Option(help="Share of the trained weights in what is saved (WiSE-FT).")
]
Evaluate = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        help="Measure there before, meanwhile and after, and save the best: devset:FOLDER, "
        "cliniq:FOLDER, beir:FOLDER or ward; may be repeated, then the mean decides. Examples that "
        "are much like its texts are refused, as with --against.",
        metavar="BENCHMARK:PLACE",
    ),
]
Every = Annotated[Number, typer.Option(help="Steps between evaluations.")]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--set",
        help="Any other setting: epochs=2, freeze=3, patience=5, warmup=0.05, grouped=false, …; "
        "may be repeated.",
        metavar="NAME=VALUE",
    ),
]
Device = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="cpu leaves a GPU alone; CUDA_VISIBLE_DEVICES chooses among several."),
]


def command_of(stage: str, summary: str, example: str) -> Callable[..., None]:
    """The command of a stage.

    Args:
        stage: `stage1` or `stage2`.
        summary: First line of its help.
        example: A command to type.
    """

    def command(
        examples: Examples,
        output: Output,
        model: Model = None,
        preset_name: Preset = "tiny",
        loss: Loss = None,
        variant: Variant = None,
        symmetric: Symmetric = False,
        no_mask: NoMask = False,
        steps: Steps = None,
        batch: Batch = None,
        positives: Positives = None,
        lr: Lr = None,
        seed: Seed = None,
        bf16: Bf16 = None,
        chunk: Chunk = None,
        keep: Keep = None,
        blend: Blend = None,
        evaluate: Evaluate = None,
        every: Every = None,
        held_out: g.HeldOutFile = None,
        against: g.Against = None,
        threshold: g.Threshold = g.DEFAULT,
        templates: g.Templates = "drop",
        allow: g.Allow = False,
        setting: Set = None,
        device: Device = None,
        json: Json = False,
    ) -> None:
        other = "stage2" if stage == "stage1" else "stage1"
        if preset_name.endswith(other):
            raise BadArgument(f"the preset {preset_name} is for: drehr-rag train {other}")
        settings = settings_of(
            preset_name,
            {
                "steps": steps,
                "batch": batch,
                "positives": positives,
                "lr": lr,
                "seed": seed,
                "bf16": bf16,
                "chunk": chunk,
                "keep": keep,
                "blend": blend,
                "every": every,
                "mask": False if no_mask else None,
            },
            loss=loss,
            variant=variant,
            symmetric=symmetric,
            more=setting,
        )
        start = model or MODELS.get(preset_name)
        if start is None:
            raise BadArgument(f"{preset_name} goes on from stage 1's result: name it with --model")
        files = [weighted(one) for one in examples]
        evaluated = evaluate or []
        against = [*(against or ()), *evaluated]
        guard = g.guard_of(held_out, against, threshold, templates) if _first() else None
        run_training(
            start,
            files,
            output,
            settings,
            evaluated,
            guard=guard,
            allow_leakage=allow,
            device=device,
            json=json,
        )

    command.__doc__ = f"{summary}\n\n[bold]Example:[/bold] {example}"
    return command


def settings_of(
    name: str,
    given: dict[str, Any],
    *,
    loss: str | None,
    variant: str | None,
    symmetric: bool,
    more: list[str] | None,
) -> Settings:
    """A preset with what was given on the command line in place of its own.

    Raises:
        BadArgument: An option cannot be meant.
    """
    found = replace(preset(name), **{k: value for k, value in given.items() if value is not None})
    if loss and loss != found.loss:
        found = replace(found, loss=loss, loss_options={})
    if variant:
        found = replace(found, loss_options={**found.loss_options, "variant": variant})
    if symmetric:
        found = replace(found, loss_options={**found.loss_options, "symmetric": True})
    typed = _typed(pairs(more, "--set"))
    if "epochs" in typed and typed.get("steps", given.get("steps")) is None:
        typed["steps"] = None  # a preset's
    elif "epochs" in typed:
        raise BadArgument("steps stand in place of epochs: give one of them")
    return replace(found, **typed)


def weighted(text: str) -> tuple[Path, float]:
    """`FILE=WEIGHT` or `FILE`.

    Raises:
        BadArgument: The weight is no number.
    """
    file, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), 1.0
    try:
        return Path(file), float(weight)
    except ValueError:
        raise BadArgument(f"--examples takes FILE or FILE=WEIGHT, not {text!r}") from None


def run_training(
    model: str,
    files: list[tuple[Path, float]],
    output: Path,
    settings: Settings,
    evaluate: list[str],
    *,
    guard: Any,
    allow_leakage: bool,
    device: str | None,
    json: bool,
) -> None:
    """Train and tell."""
    from drehr_rag.training.evaluating import evaluators_named
    from drehr_rag.training.run import train

    with bar(json or not _first()) as shown:
        tasks: dict[str, Any] = {}

        def progress(done: int, total: int, numbers: dict[str, float]) -> None:
            tell(shown, tasks, "training", "steps", done, total)
            shown.update(tasks["steps"], description=_latest(numbers))

        made = train(
            model,
            files,
            output,
            settings,
            evaluator=evaluators_named(evaluate) if evaluate else None,
            evaluated_on=", ".join(evaluate) or None,
            guard=guard,
            allow_leakage=allow_leakage,
            device=device,
            progress=progress,
        )
    if not _first():
        return
    if json:
        print_json(asdict(made))
        return
    out = console()
    rate = f", {made.taken / made.seconds:.2f} steps/s" if made.taken and made.seconds else ""
    before = "" if made.taken else " (before)"
    out.print(f"{made.steps:,} steps{before}{rate}; loss {made.loss:.4f}; model: {made.folder}")
    if made.after:
        table = Table("measure", "before", "after")
        for name, value in made.after.items():
            table.add_row(name, f"{made.before[name]:.4f}", f"{value:.4f}")
        out.print(table)


def _first() -> bool:
    """Whether this is the first of several processes; it alone checks leakage and tells."""
    return os.environ.get("RANK", "0") == "0"


def _latest(numbers: dict[str, float]) -> str:
    shown = [f"loss {numbers['loss']:.4f}"] if numbers.get("loss") is not None else []
    measured = next(((k, v) for k, v in numbers.items() if k.startswith("eval_")), None)
    if measured:
        shown.append(f"{measured[0].removeprefix('eval_')} {measured[1]:.4f}")
    return ", ".join(shown) or "training"


def _typed(given: dict[str, str]) -> dict[str, Any]:
    """Values as the settings' types; `none` leaves one out."""
    kinds = {f.name: getattr(f.type, "__name__", str(f.type)) for f in fields(Settings)}
    found: dict[str, Any] = {}
    for name, text in given.items():
        kind = kinds.get(name, "")
        if not kind.startswith(("int", "float", "bool")):
            known = ", ".join(k for k, v in kinds.items() if v.startswith(("int", "float", "bool")))
            raise BadArgument(f"--set knows {known}, not {name!r}")
        found[name] = _value(name, text, kind)
    return found


def _value(name: str, text: str, kind: str) -> Any:
    lower = text.lower()
    if "None" in kind and lower == "none":
        return None
    if kind.startswith("bool") and lower in ("true", "false"):
        return lower == "true"
    try:
        if not kind.startswith("bool"):
            return (int if kind.startswith("int") else float)(text)
    except ValueError:
        pass
    raise BadArgument(f"--set {name}={text}: it must be of type {kind}")
