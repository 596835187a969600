"""`drehr-rag train hard-negatives`: entities by which an encoder wrongly finds a chunk."""

import json as json_
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from drehr_rag._files import written
from drehr_rag.cli import _options as o
from drehr_rag.cli._show import console, print_json
from drehr_rag.cli.eval._options import bar, tell
from drehr_rag.cli.train import _corpus as c
from drehr_rag.encoders import load_encoder
from drehr_rag.errors import BadArgument, TrainingError
from drehr_rag.training.build_files import beside
from drehr_rag.training.examples import read_examples, write_examples
from drehr_rag.training.hard_negatives import ranking_by, with_hard_negatives
from drehr_rag.training.manifest import build_manifest


def command(
    examples: Annotated[Path, typer.Argument(help="A file of examples.")],
    output: c.Output,
    encoder: Annotated[
        str, typer.Option(help="What searches: best the model that will be trained.")
    ] = "offline",
    most: Annotated[int, typer.Option(help="Of each chunk, with those it has.", min=1)] = 8,
    depth: Annotated[int, typer.Option(help="Chunks that each entity finds.", min=1)] = 20,
    json: o.Json = False,
) -> None:
    """Give each chunk the entities of other chunks that an encoder finds it by.

    They are negatives of this chunk alone. None is an entity of the chunk, by text or by concept;
    what the examples lack by mistake becomes a false negative.

    [bold]Example:[/bold] drehr-rag train hard-negatives stage1.jsonl.gz --output hard.jsonl.gz
    """
    place = beside(output, ".manifest.json")
    if output.exists() and "hard_negatives" not in (build_manifest(output) or {}):
        raise BadArgument(f"{output} is there, and not of this command: name another output")
    if output.resolve() == examples.resolve():
        raise BadArgument("the output is the file of examples: name another")
    read = list(read_examples(examples))
    if not read:
        raise TrainingError(f"{examples} holds no example")
    loaded = load_encoder(encoder)
    with bar(json) as shown:
        told = partial(tell, shown, {}, examples.name, "texts")
        found = with_hard_negatives(
            read, ranking_by(loaded, read, depth=depth, told=told), most=most
        )
    about = {"encoder": loaded.name, "most": most, "depth": depth, "from": examples.name}
    with written(place, error=TrainingError) as file:
        json_.dump({**(build_manifest(examples) or {}), "hard_negatives": about}, file, indent=2)
    write_examples(output, found)
    counts = {
        "examples": len(found),
        "negatives before": sum(len(one.negatives) for one in read),
        "negatives": sum(len(one.negatives) for one in found),
    }
    if json:
        print_json({"output": str(output), **counts})
        return
    for name, count in counts.items():
        console().print(f"{name}: {count:,}")
