"""A slow build to be killed: `python stage2_child.py URL NOTES OUTPUT`."""

import asyncio
import sys

from drehr_rag.training.chat import Chat
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.stage2.build import build_from_model


async def build(url, notes, output, **options):
    async with Chat(url, retries=options.pop("retries", 5), concurrency=6) as chat:
        return await build_from_model(
            Corpus([notes], shortest=1), chat, output, concurrency=4, **options
        )


if __name__ == "__main__":
    print("begun", flush=True)
    asyncio.run(build(*sys.argv[1:4]))
