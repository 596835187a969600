"""Training of retrieval encoders: examples to batches to a loss to gradients.

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

Nothing here imports torch by being imported with the package; `contrast`, `gather`, `grad_cache`
and the modules of `losses` do when they are used.
"""
