"""Random draws in blocks, so that ten thousand of them over many queries fit in memory."""

from collections.abc import Iterator

CELLS = 1 << 20
"""Numbers in a block at most: 8 MB of float64."""


def blocks(draws: int, width: int) -> Iterator[int]:
    """The heights of blocks that are `width` wide and make `draws` rows together."""
    height = max(1, CELLS // max(1, width))
    for start in range(0, draws, height):
        yield min(height, draws - start)
