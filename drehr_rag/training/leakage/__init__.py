"""Keeps what a benchmark judges out of the training: held-out ids, and texts much like others.

```text
--held-out ids.txt ──► held_out_ids.py ─────────────┐
--against devset:… ──► sources.py ──► near_texts.py ─┴─► guard.py ──► Leak, LeakReport
                                       shingles.py
```
"""

from drehr_rag.training.leakage.guard import Guard, Leak, LeakReport
from drehr_rag.training.leakage.held_out_ids import HeldOutIds
from drehr_rag.training.leakage.near_texts import NearTexts, Resemblance
from drehr_rag.training.leakage.sources import HeldOut, held_out_texts

__all__ = [
    "Guard",
    "HeldOut",
    "HeldOutIds",
    "Leak",
    "LeakReport",
    "NearTexts",
    "Resemblance",
    "held_out_texts",
]
