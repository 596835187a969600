"""`drehr-rag train stage1`: knowledge injection (PAPER.md §1, stage 1)."""

from drehr_rag.cli.train._training import command_of

command = command_of(
    "stage1",
    "Train an encoder on chunks and the entities that a knowledge graph finds in them.",
    "drehr-rag train stage1 --examples stage1.jsonl.gz --output ./model --evaluate devset:./select",
)
