"""How well rules tell what a note denies, what is past and what a relative had.

    python -m benchmarks.assertions --markdown docs/measurements.md

Labels: the 2,376 sentences of chapmanbe/negex (Apache-2.0), a concept marked in each. The split was
written down before any rule was: the SHA-256 of the sentence in small letters, white space folded;
an even first byte is `dev`, an odd one `report`. Not of concept and sentence together: then one
sentence with another concept marked would stand on both sides. Rules were chosen on `dev` alone.
"""

import hashlib


def half(sentence: str) -> str:
    """On which side of the split a sentence stands."""
    plain = " ".join(sentence.lower().split())
    return "report" if hashlib.sha256(plain.encode()).digest()[0] % 2 else "dev"
