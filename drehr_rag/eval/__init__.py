"""Evaluation: runs and judgments to measures, and differences that can be believed.

```text
benchmark ──► Task (passages, queries, qrels)
                │ retrieval.py                 a run file from elsewhere
                ▼                                        │ runs.py
              run {query: {chunk: score}} ◄──────────────┘
                │ scoring.py (ir_measures)
                ▼
              scores {(setting, match, measure): {query or query+note: value}}
                │ results.py: one folder, with a manifest
                ▼
              compare, report, grid
```
"""
