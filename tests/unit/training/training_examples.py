"""Examples that share entities, concepts and a passage."""

from drehr_rag.training.examples import Example

WORDS = "gout toe pain heart failure fever rash cough nausea edema stroke anemia".split()


def make_examples(count):
    """So many, each with 2 to 6 entities; each shares some with the next, by text or concept."""
    made = []
    for i in range(count):
        words = [WORDS[(i * 2 + j) % len(WORDS)] for j in range(2 + i % 5)]
        known = [f"C{WORDS.index(word) // 2}" if j % 3 else None for j, word in enumerate(words)]
        made.append(
            Example(
                idx=f"n{i}",
                text=f"{words[0]} in passage {max(i, 1)}",
                entities=tuple(words),
                concepts=tuple(known) if i % 2 else None,
                negatives=(WORDS[(i * 2 + 9) % len(WORDS)], f"mimic {i}") if i % 3 == 0 else (),
            )
        )
    return made
