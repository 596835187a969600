"""`drehr-rag train stage2`: synthetic data or human labels (PAPER.md §1, stage 2)."""

from drehr_rag.cli.train._training import command_of

command = command_of(
    "stage2",
    "Train the encoder of stage 1 on chunks and the entities that a model or a person lists.",
    "drehr-rag train stage2 --model ./stage1 --examples stage2.jsonl.gz --output ./model",
)
