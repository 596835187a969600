"""A slow build to be killed: `python build_child.py OUTPUT sync|processes|async COUNT SECONDS`."""

import asyncio
import random
import sys
import time

from drehr_rag.training.building import build, build_async
from drehr_rag.training.examples import Example
from drehr_rag.training.outcomes import Outcome
from drehr_rag.types import Chunk


def chunks(count):
    for number in range(count):
        text = f"chunk {number} of héart " + "word " * (number % 7)
        yield Chunk(f"n{number // 3}_{number % 3}", f"n{number // 3}", None, 0, 1, text, text)


def outcome(chunk):
    number = int(chunk.text.split()[1])
    if number % 5 == 4:
        return Outcome(None, {"empty": 1}, ("nothing found",))
    example = Example(idx=chunk.chunk_id, text=chunk.text, entities=(f"entity {number}",))
    return Outcome(example, {"mentions": number})


class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, chunk):
        time.sleep(self.seconds)
        return outcome(chunk)

    async def answer(self, chunk):
        await asyncio.sleep(self.seconds * random.random() * 4)
        return outcome(chunk)


def run(output, how, count, seconds=0.0, **settings):
    given = {"settings": {"seed": 1, **settings}, "sources": {"notes.jsonl": "abc"}}
    work = Slow(seconds)
    if how == "async":
        return asyncio.run(build_async(chunks(count), work.answer, output, concurrency=4, **given))
    workers = 2 if how == "processes" else 1
    return build(chunks(count), work, output, workers=workers, **given)


if __name__ == "__main__":
    print("begun", flush=True)
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    print("done", flush=True)
