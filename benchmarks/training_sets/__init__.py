"""The retrieval sets by which trained models are selected and reported (docs/training-sets.md).

`python -m benchmarks.training_sets OUT [--data FOLDER]` makes them from the open data, in the
layout of `devset/vaers2004`, and compares them with the frozen `checksums.txt`.
"""
