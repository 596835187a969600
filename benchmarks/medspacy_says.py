"""What medSpaCy says of sentences: run by `benchmarks.assertions` in medSpaCy's own environment.

Reads lines `[text, start, end]`; writes its version, then for each all that it says of the mention.
"""

import json
import sys
from importlib.metadata import version

from drehr_rag.notes.annotators.medspacy import MedSpacy, load


def main() -> None:
    """Everything that is said, not only the first of it, as the rules are measured."""
    print(f"medspacy {version('medspacy')}, spacy {version('spacy')}")
    pipeline = load(find=lambda text: ())
    for line in sys.stdin:
        text, start, end = json.loads(line)
        print(json.dumps(all_said(pipeline, text, start, end)))


def all_said(annotator: MedSpacy, text: str, start: int, end: int) -> list[str]:
    """Our names for what it says of one mention."""
    return sorted({kind for entity in annotator.entities(text, [(start, end)])
                   for kind in annotator.said(entity)})  # fmt: skip


if __name__ == "__main__":
    main()
