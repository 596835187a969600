"""Question and passages → answer with citations, or none."""

from drehr_rag.qa.answering import answer

__all__ = ["answer"]
