"""Random small cases of CliniQ's scoring, in the types of ``cliniq_naive``."""

import random

MATCH_TYPES = ["string", "synonym", "abbreviation", "hyponym", "implication"]
QUERY_TYPES = ["disease", "procedure", "drug"]
TEXTS = ["sepsis", "dialysis", "heparin"]
# Ids that are prefixes of others; the last two can only be told apart from the first at the LAST
# underscore of a chunk id.
HADM_IDS = ["1", "10", "100", "100001", "10000", "2", "20", "199999", "1_0", "1_10"]
NOTE_SIZES = [1, 2, 4, 4, 5, 5, 5, 6, 7, 8, 9]
FEW_SCORES = [[0.0], [0.0, 1.0], [-1.0, 0.0, 0.5], [-0.25, 0.1, 0.2, 0.3, 0.7]]

Case = tuple[
    list[str],
    dict[str, tuple[str, str]],
    dict[tuple[str, str], dict[str, str]],
    dict[str, dict[str, float]],
]


def random_case(seed: int) -> Case:
    """One random case, always the same one for a seed.

    Every fifth seed's corpus has more than 100 chunks, one note of which has 12 (so that ``1_10``
    and ``1_9`` may tie); the other corpora have 2 to 6 notes of 1 to 9 chunks.

    Args:
        seed: Any whole number.

    Returns:
        The corpus, the queries, the judgments and the run.
    """
    rng = random.Random(seed)
    notes = _big_notes(rng) if seed % 5 == 0 else _small_notes(rng)
    corpus = [f"{note}_{i}" for note, size in notes.items() for i in range(size)]
    if rng.random() < 0.5:
        rng.shuffle(corpus)
    queries = _queries(rng)
    qrels = {}
    for text, query_type in queries.values():
        if (query_type, text) not in qrels and rng.random() < 0.9:
            qrels[query_type, text] = _judgments(rng, corpus, notes)
    run = {query: _scores(rng, corpus) for query in queries if rng.random() < 0.9}
    return corpus, queries, qrels, run


def _small_notes(rng: random.Random) -> dict[str, int]:
    return {note: rng.choice(NOTE_SIZES) for note in rng.sample(HADM_IDS, rng.randint(2, 6))}


def _big_notes(rng: random.Random) -> dict[str, int]:
    notes = {note: rng.choice(NOTE_SIZES) for note in HADM_IDS}
    notes["1"] = 12
    more = 300
    while sum(notes.values()) <= 110:
        notes[str(more)] = rng.choice(NOTE_SIZES)
        more += 1
    return notes


def _queries(rng: random.Random) -> dict[str, tuple[str, str]]:
    # With few texts and types to draw from, two queries often share one text, or text and type.
    types = rng.sample(QUERY_TYPES, rng.randint(1, 3))
    texts = rng.sample(TEXTS, rng.randint(1, 3))
    ids = rng.sample(["0", "1", "10", "329", "330", "694", "1245"], rng.randint(1, 5))
    return {query: (rng.choice(texts), rng.choice(types)) for query in ids}


def _judgments(rng: random.Random, corpus: list[str], notes: dict[str, int]) -> dict[str, str]:
    types = rng.sample(MATCH_TYPES, rng.choice([1, 2, 2, 3, 5]))
    share = rng.choice([0.0, 0.05, 0.2, 0.5, 0.9])
    relevant = {chunk for chunk in corpus if rng.random() < share}
    if rng.random() < 0.3:  # a note all of whose chunks are relevant, or all but one
        note = rng.choice(list(notes))
        chunks = [f"{note}_{i}" for i in range(notes[note])]
        relevant |= set(chunks)
        if rng.random() < 0.3:
            relevant.discard(rng.choice(chunks))
    return {chunk: rng.choice(types) for chunk in corpus if chunk in relevant}


def _scores(rng: random.Random, corpus: list[str]) -> dict[str, float]:
    # The share of the corpus that the run names: all, most, half, little, nothing.
    share = rng.choice([1.0, 1.0, 0.9, 0.5, 0.1, 0.0])
    named = [chunk for chunk in corpus if rng.random() < share]
    rng.shuffle(named)
    if rng.random() < 0.3:
        return {chunk: rng.uniform(-1, 1) for chunk in named}
    few = rng.choice(FEW_SCORES)
    return {chunk: rng.choice(few) for chunk in named}
