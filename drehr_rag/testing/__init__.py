"""For the tests of plug-in authors: an encoder without a model."""

from drehr_rag.testing.hash_encoder import HashEncoder

__all__ = ["HashEncoder"]
