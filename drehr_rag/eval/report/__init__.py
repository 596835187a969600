"""Results to one self-contained page: `write_page` of `drehr_rag.eval.report.page`.

```text
results ──► figures.py (tables, curves, latency, conclusions) ──┐
        └─► ranked.py (queries, rankings, judgments, passages) ─┴─► page.py ──► one HTML file
                                                                     assets/ (HTML, CSS, JavaScript)
```
"""
