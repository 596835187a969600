"""Ours beside what a user would pick instead: the same chunks, the same weights, one run."""
