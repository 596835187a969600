"""One example of CliniQ's scoring, worked by hand: the data, and the values to expect of a scorer.

The rules are those of ``cliniq_naive``. Nothing here was computed by a scorer: every expected value
is the arithmetic that the comment beside it derives from the ranking.
"""

from math import log2

# Note "1" has 6 chunks, "10" has 4 (too few for single-patient), "100001" has 5.
CORPUS = [
    *["1_0", "1_1", "1_2", "1_3", "1_4", "1_5"],
    *["10_0", "10_1", "10_2", "10_3"],
    *["100001_0", "100001_1", "100001_2", "100001_3", "100001_4"],
]

# One text in two query types: their judgments are apart. "695" has no judgment: it is never scored.
QUERIES = {
    "0": ("pneumonia", "disease"),
    "329": ("transfusion", "procedure"),
    "694": ("transfusion", "drug"),
    "695": ("heparin", "drug"),
}

QRELS = {
    # 8 relevant chunks, 3 of them "string". All 5 chunks of note 100001 are relevant.
    ("disease", "pneumonia"): {
        "1_1": "string",
        "1_4": "synonym",
        "10_2": "string",
        "100001_0": "string",
        "100001_1": "synonym",
        "100001_2": "synonym",
        "100001_3": "implication",
        "100001_4": "synonym",
    },
    # 3 relevant chunks, 1 of them "string".
    ("procedure", "transfusion"): {
        "1_2": "implication",
        "100001_0": "string",
        "100001_4": "synonym",
    },
    # 2 relevant chunks, none of them "string".
    ("drug", "transfusion"): {"1_0": "hyponym", "1_1": "abbreviation"},
}

RUN = {
    # Not retrieved: 1_4, 10_3, 100001_2, 100001_4; three of these are relevant.
    # Two ties, the greater id first in each: 1_1 before 1_0, and 1_5 before 100001_3, for "_" is
    # greater than "0".
    "0": {
        "1_0": 0.8,  # rank 3
        "1_1": 0.8,  # rank 2, string
        "1_2": 0.2,  # rank 10
        "1_3": 0.4,  # rank 8
        "1_5": 0.6,  # rank 5
        "10_0": 0.9,  # rank 1
        "10_1": 0.3,  # rank 9
        "10_2": 0.7,  # rank 4, string
        "100001_0": 0.1,  # rank 11, string
        "100001_1": 0.5,  # rank 7, synonym
        "100001_3": 0.6,  # rank 6, implication
    },
    "329": {
        "100001_2": 0.9,  # rank 1
        "100001_4": 0.8,  # rank 2, synonym
        "1_3": 0.7,  # rank 3
        "100001_1": 0.6,  # rank 4
        "100001_0": 0.5,  # rank 5, string
        "1_2": 0.4,  # rank 6, implication
        "10_3": 0.3,  # rank 7
        "100001_3": 0.2,  # rank 8
    },
    # The run does not name "694", which is judged.
    "695": {"1_0": 0.5},
}

MATCH = "string"
"""The match type of the two ``..._MATCH`` results."""

MULTI_PATIENT = {
    "MRR": {
        "0": 1 / 2,  # 1_1 is second
        "329": 1 / 2,  # 100001_4 is second
        "694": 0.0,  # nothing retrieved
    },
    "nDCG@10": {
        # Relevant at ranks 2, 4, 6, 7 (11 is past the cut); the ideal has all 8: ranks 1 to 8.
        "0": (1 / log2(3) + 1 / log2(5) + 1 / log2(7) + 1 / 3)
        / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5) + 1 / log2(6) + 1 / log2(7) + 1 / 3 + 1 / log2(9)),
        # Relevant at ranks 2, 5, 6; the ideal has ranks 1, 2, 3.
        "329": (1 / log2(3) + 1 / log2(6) + 1 / log2(7)) / (1 + 1 / log2(3) + 1 / 2),
        "694": 0.0,
    },
    "cliniq-nDCG@10": {
        # The same gains; the ideal has the 4 of the top 10 only, at ranks 1 to 4.
        "0": (1 / log2(3) + 1 / log2(5) + 1 / log2(7) + 1 / 3)
        / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5)),
        # All 3 relevant chunks are in the top 10: as above.
        "329": (1 / log2(3) + 1 / log2(6) + 1 / log2(7)) / (1 + 1 / log2(3) + 1 / 2),
        "694": 0.0,  # no ideal: 0
    },
    "Recall@100": {
        "0": 5 / 8,  # ranks 2, 4, 6, 7, 11 of 8 relevant chunks
        "329": 3 / 3,
        "694": 0 / 2,
    },
}

# Pairs of a query with a note that has a relevant chunk:
# ("0", "1") is scored: 6 chunks. Retrieved in order: 1_1 relevant, 1_0, 1_5, 1_3, 1_2; the other
#   relevant chunk, 1_4, was not.
# ("0", "10") is skipped: 4 chunks. ("0", "100001") is skipped: all 5 chunks are relevant, although
#   the run has only 3 of them.
# ("329", "1") is scored: 1_3, 1_2 relevant.
# ("329", "100001") is scored: _2, _4 relevant, _1, _0 relevant, _3.
# ("694", "1") is scored, 0: nothing retrieved.
SINGLE_PATIENT = {
    "MRR": {
        ("0", "1"): 1 / 1,
        ("329", "1"): 1 / 2,
        ("329", "100001"): 1 / 2,
        ("694", "1"): 0.0,
    },
    "nDCG": {
        ("0", "1"): 1 / (1 + 1 / log2(3)),  # rank 1; the ideal has both relevant chunks
        ("329", "1"): (1 / log2(3)) / 1,  # rank 2; the ideal has 1
        # Ranks 2, 4; the ideal has ranks 1, 2.
        ("329", "100001"): (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)),
        ("694", "1"): 0.0,
    },
    "cliniq-nDCG": {
        ("0", "1"): 1 / 1,  # rank 1; the ideal has the one that was retrieved
        ("329", "1"): (1 / log2(3)) / 1,
        ("329", "100001"): (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)),
        ("694", "1"): 0.0,  # no ideal: 0
    },
    "MAP": {
        ("0", "1"): (1 / 1) / 2,  # first of the two relevant chunks at rank 1, the second nowhere
        ("329", "1"): (1 / 2) / 1,
        ("329", "100001"): (1 / 2 + 2 / 4) / 2,
        ("694", "1"): 0 / 2,
    },
}

# Query "0": 1_4, 100001_1, _2, _3, _4 are removed. Left, in order: 10_0, 1_1 string, 1_0,
#   10_2 string, 1_5, 1_3, 10_1, 1_2, 100001_0 string (rank 11 before, rank 9 now).
# Query "329": 1_2, 100001_4 are removed. Left: 100001_2, 1_3, 100001_1, 100001_0 string, 10_3,
#   100001_3.
# Query "694" has no "string": skipped.
MULTI_PATIENT_MATCH = {
    "MRR": {"0": 1 / 2, "329": 1 / 4},
    "nDCG@10": {
        # Ranks 2, 4, 9; the ideal has ranks 1, 2, 3.
        "0": (1 / log2(3) + 1 / log2(5) + 1 / log2(10)) / (1 + 1 / log2(3) + 1 / 2),
        # Rank 4; the ideal has rank 1.
        "329": (1 / log2(5)) / 1,
    },
    "cliniq-nDCG@10": {
        # All "string" chunks are in the top 10: as above.
        "0": (1 / log2(3) + 1 / log2(5) + 1 / log2(10)) / (1 + 1 / log2(3) + 1 / 2),
        "329": (1 / log2(5)) / 1,
    },
    "Recall@100": {"0": 3 / 3, "329": 1 / 1},
}

# ("0", "1"): 1_4 is removed. Left: 1_1 string, 1_0, 1_5, 1_3, 1_2.
# ("0", "10") is skipped: 4 chunks. ("0", "100001") is skipped: _0 alone remains, and is relevant.
# ("329", "100001"): _4 is removed, and the 4 chunks that remain are enough, for the note has 5.
#   Left: _2, _1, _0 string, _3.
# ("329", "1") and ("694", "1") are skipped: no "string".
SINGLE_PATIENT_MATCH = {
    "MRR": {("0", "1"): 1 / 1, ("329", "100001"): 1 / 3},
    "nDCG": {("0", "1"): 1 / 1, ("329", "100001"): (1 / 2) / 1},  # rank 3: 1 / log2(4)
    "cliniq-nDCG": {("0", "1"): 1 / 1, ("329", "100001"): (1 / 2) / 1},
    "MAP": {("0", "1"): (1 / 1) / 1, ("329", "100001"): (1 / 3) / 1},
}

# Means over the queries ("695" left out) and over the pairs, pooled: were they taken by query type
# first, the single-patient MAP would be (1/2 + 1/2 + 0) / 3 = 1/3.
MULTI_PATIENT_MEANS = {"MRR": (1 / 2 + 1 / 2 + 0) / 3, "Recall@100": (5 / 8 + 1 + 0) / 3}
SINGLE_PATIENT_MEANS = {
    "MRR": (1 + 1 / 2 + 1 / 2 + 0) / 4,
    "MAP": (1 / 2 + 1 / 2 + 1 / 2 + 0) / 4,
}
MULTI_PATIENT_MATCH_MEANS = {"MRR": (1 / 2 + 1 / 4) / 2, "Recall@100": (1 + 1) / 2}
SINGLE_PATIENT_MATCH_MEANS = {"MRR": (1 + 1 / 3) / 2, "nDCG": (1 + 1 / 2) / 2}
