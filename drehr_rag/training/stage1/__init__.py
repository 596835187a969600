"""Stage 1, knowledge injection: what a chunk mentions, and what the graph says of that.

```text
chunk ── asking.py ──► a language model's reply, if one is asked ──► abbreviating.py
chunk ── mentions.py ──────► concepts ── injection.py ──► synonyms, hypernyms, related
      ── abbreviating.py ──►    │                              │
                                │ leave_out.py                 ▼
      ── notes/assertions.py ──►└────────── work.py ──► Outcome (an Example, and counts)
```
"""
