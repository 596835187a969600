"""Finding terms in MTSamples: the matcher beside the authors' algorithm, speed and memory.

    python -m benchmarks.matcher --terms 500000

Each side is built and timed in a process of its own; the best of five rounds counts, in seconds of
the processor.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.corpora import data_folder
from benchmarks.kg_terms import notes, peak, resident, shared_graph, terms
from benchmarks.plain_trie import PlainTrie
from drehr_rag.kg import Matcher

SIDES = ("plain", "released", "words")
CORES = (1, 2, 4, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--terms", type=int, default=10**9, help="at most; 500000 adds made-up ones"
    )
    parser.add_argument("--notes", type=int, default=800)
    parser.add_argument("--scratch", type=Path, default=Path(".bench"))
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--cores", type=int, default=1, help="also over so many processes")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    graph = shared_graph(data_folder(), asked.scratch / "shared.kg")
    if asked.terms == 10**9:
        asked.terms = graph.manifest["terms"]
    if asked.side:
        print(json.dumps(measure(asked, graph)))
        return
    results = {side: _child(side) for side in SIDES}
    same = results["plain"].pop("digest") == results["released"].pop("digest")
    del results["words"]["digest"]
    show(results, same)
    if asked.json:
        asked.json.write_text(json.dumps({"terms": asked.terms, "same": same, **results}, indent=1))


def measure(asked: argparse.Namespace, graph: Any) -> dict[str, Any]:
    """One side: build, hold, find."""
    texts = notes(data_folder())[: asked.notes]
    listed = asked.scratch / f"terms-{asked.terms}.txt"
    if not listed.exists():
        listed.write_text("".join(f"{term}\n" for term in terms(graph, asked.terms)))
    found: list[Any] = [None] * len(texts)
    before, began = resident(), time.perf_counter()
    with listed.open() as file:
        source = (line.rstrip("\n") for line in file)
        built: Any = PlainTrie(source) if asked.side == "plain" else _matcher(source, asked.side)
    seconds = time.perf_counter() - began
    held = resident() - before
    characters, best = sum(map(len, texts)), 1e9
    for _ in range(5):
        began = time.process_time()
        found = [built.find(text) for text in texts]
        best = min(best, time.process_time() - began)
    places = [[(m[0], m[1]) for m in one] for one in found]
    answer = {
        "build_s": seconds,
        "held_mb": held,
        "peak_mb": peak(),
        "mchar_s": characters / best / 1e6,
        "matches": sum(map(len, found)),
        "digest": str(places),
    }
    if asked.side == "words":
        answer["cores"] = {n: _parallel(built, texts, n) for n in CORES if n <= asked.cores}
    return answer


def _matcher(source: Any, side: str) -> Matcher:
    return Matcher(source, boundaries="released" if side == "released" else "words")


def _parallel(built: Matcher, texts: list[str], workers: int) -> float:
    """Million characters a second over some processes, their start not counted."""
    many = texts * max(1, 10_000_000 * workers // max(1, sum(map(len, texts))))
    stream = built.find_many(many, workers=workers)
    next(stream)
    began = time.perf_counter()
    for _ in stream:
        pass
    return sum(map(len, many[1:])) / (time.perf_counter() - began) / 1e6


def _child(side: str) -> dict[str, Any]:
    run = [sys.executable, "-m", "benchmarks.matcher", *sys.argv[1:], "--side", side]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def show(results: dict[str, dict[str, Any]], same: bool) -> None:
    plain = results["plain"]
    for side, r in results.items():
        print(
            f"{side:9} build {r['build_s']:6.1f} s  held {r['held_mb']:7.1f} MB "
            f"(1/{plain['held_mb'] / r['held_mb']:.1f})  peak {r['peak_mb']:7.0f} MB  "
            f"{r['mchar_s']:6.2f} Mchar/s (×{r['mchar_s'] / plain['mchar_s']:.1f})  "
            f"{r['matches']} matches"
        )
    print("released mode gives the authors' matches:", same)
    print("Mchar/s over processes:", results["words"].get("cores"))


if __name__ == "__main__":
    main()
