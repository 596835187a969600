"""Training of retrieval encoders: notes to examples to batches to a loss to gradients.

```text
notes ── corpus.py, split.py ──► chunks ──► stage1/ (graph: mentions, names, abbreviations)
                                        └─► stage2/ (a model's entities, or people's labels)
building.py, build_run.py: chunks in, examples out, in order; journal.py: what a kill leaves
leakage/ ── withholds what is like a benchmark's text ──► examples.jsonl, failures, manifest
```

```text
examples.jsonl ── examples.py ──► Example (chunk, entities, concepts)
                                     │ batches.py: n positives of each, every text once
                                     ▼
                                  Batch ── encoder ──► passages (P×d), entities (U×d)
                                     │                    │ gather.py: of all processes
                                     │ masking.py         │ grad_cache.py: chunk by chunk
                                     ▼                    ▼
                                  contrast.py: similarities (B×U) ── losses/ ──► one number
```

```text
files ── example_file.py, mixture.py ──► batches of a step ── tokens.py, step.py ──► gradients
                                          │ trainer.py (transformers' Trainer)
run.py: train(…) ──► log.jsonl, checkpoints, evaluating.py ──► a folder, its manifest, its card
```

Nothing here imports torch by being imported with the package; `contrast`, `gather`, `grad_cache`,
the modules of `losses`, and what trains (`model`, `step`, `trainer`, `run`) do when they are used.
"""
