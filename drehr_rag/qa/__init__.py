"""Question → answer with citations, or none.

```text
question ── understanding.py ──► queries ── retrieving.py (times.py, steering.py) ──► hits
hits ── passages.py (counting.py measures) ──► passages ── asking.py ──► prompt ──► generator
        instructions.py (needed_words.py) withholds, marking.py tells what is denied or past
reply ── claims.py ──► claims ── verifying.py (citing.py, folding.py) ──► sentences ──► Answer
```

`answering.py` goes from hits to an answer; `chain.py` does all of it (`preparing.py` up to the
prompt, `replying.py` asks, `many.py` does both at once), and `audit.py` records it.
"""

from drehr_rag.qa.answering import answer
from drehr_rag.qa.audit import AuditLog
from drehr_rag.qa.chain import Allow, QaChain
from drehr_rag.qa.retrieving import PASSAGES
from drehr_rag.qa.settings import Settings

__all__ = ["PASSAGES", "Allow", "AuditLog", "QaChain", "Settings", "answer"]
