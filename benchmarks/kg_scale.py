"""Five million made-up terms: time, memory and disk of the graph and the matcher, extrapolated.

    python -m benchmarks.kg_scale --terms 5000000

BIOS v3 has 46.0 million terms, 22.1 million concepts and 99.8 million triplets; the made-up graph
has the same proportions. Each step runs in a process of its own.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.corpora import data_folder
from benchmarks.kg_terms import peak, resident, shared_graph, terms
from drehr_rag.kg import Matcher, StoredGraph, build_graph

BIOS = {"terms": 46.0e6, "concepts": 22.1e6, "triplets": 99.8e6}
STEPS = ("write", "build", "look_up", "match", "load")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--terms", type=int, default=5_000_000)
    parser.add_argument("--scratch", type=Path, default=Path(".bench"))
    parser.add_argument("--step", choices=STEPS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(globals()[asked.step](asked.scratch, asked.terms)))
        return
    factor = BIOS["terms"] / asked.terms
    for step in STEPS:
        run = [sys.executable, "-m", "benchmarks.kg_scale", *sys.argv[1:], "--step", step]
        done = subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True)
        for name, value in json.loads(done.stdout).items():
            print(
                f"{step:8} {name:22} {value:12.2f}   at BIOS size {value * factor:12.1f}",
                flush=True,
            )


def write(scratch: Path, count: int) -> dict[str, float]:
    """A release's tables."""
    folder = scratch / "made"
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    concepts = int(count * BIOS["concepts"] / BIOS["terms"])
    began = time.perf_counter()
    graph = shared_graph(data_folder(), scratch / "shared.kg")
    with (folder / "concepts.tsv").open("w") as file:
        file.write("cid\ttid\tstr\ttty\tlang\n")
        for n, term in enumerate(terms(graph, count)):
            file.write(f"B{n % concepts}\tT{n}\t{term}\t{'SY' if n >= concepts else 'PT'}\tENG\n")
    with (folder / "relations.tsv").open("w") as file:
        file.write("cid1\trel\tcid2\n")
        for n in range(int(count * BIOS["triplets"] / BIOS["terms"])):
            kind = "is a" if n % 4 == 0 else f"relation {n % 13}"
            file.write(f"B{n % concepts}\t{kind}\tB{int(chance.random() * concepts)}\n")
    return {"seconds": time.perf_counter() - began}


def build(scratch: Path, count: int) -> dict[str, float]:
    """The graph's folder."""
    began = time.perf_counter()
    graph = build_graph(scratch / "made.kg", [f"bios:{scratch / 'made'}"])
    size = sum(file["bytes"] for file in graph.manifest["files"].values())
    return {"seconds": time.perf_counter() - began, "peak MB": peak(), "disk MB": size / 1e6}


def look_up(scratch: Path, count: int) -> dict[str, float]:
    """Opened, and a thousand random look-ups."""
    before = resident()
    graph = StoredGraph(scratch / "made.kg")
    chance, total = random.Random(2), len(graph)
    began = time.perf_counter()
    for _ in range(1_000):
        concept = f"B{chance.randrange(total)}"
        for name in graph.synonyms(concept):
            graph.concepts(name)
        graph.hypernyms(concept)
        graph.related(concept)
    each = (time.perf_counter() - began) * 1_000
    return {"resident MB": resident() - before, "us a look-up": each}


def match(scratch: Path, count: int) -> dict[str, float]:
    """The matcher, built and saved."""
    began = time.perf_counter()
    matcher = Matcher.of(StoredGraph(scratch / "made.kg"))
    seconds, held = time.perf_counter() - began, peak()
    matcher.save(scratch / "made.matcher")
    size = (scratch / "made.matcher").stat().st_size
    return {"seconds": seconds, "peak MB": held, "disk MB": size / 1e6}


def load(scratch: Path, count: int) -> dict[str, float]:
    """The saved matcher, read."""
    before, began = resident(), time.perf_counter()
    matcher: Any = Matcher.load(scratch / "made.matcher")
    matcher.find("atrial fibrillation")
    return {"seconds": time.perf_counter() - began, "resident MB": resident() - before}


if __name__ == "__main__":
    main()
