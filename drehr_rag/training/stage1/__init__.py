"""Stage 1, knowledge injection: what a chunk mentions, and what the graph says of that.

```text
chunk ── mentions.py ──────► concepts ── injection.py ──► synonyms, hypernyms, related
      ── abbreviating.py ──►    │                              │
      ── negation.py            │ leave_out.py                 ▼
                                └────────── work.py ──► Outcome (an Example, and counts)
```
"""
