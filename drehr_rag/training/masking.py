"""False negatives: entities of other chunks that an anchor's own chunk has too.

The released code takes an entity shared by two chunks of a batch as a positive of one and a
negative of the other (PAPER.md §1, faults). Here it is no negative of an anchor if it is, by
concept or by normalised text, among the anchor's own entities: all of them, not only those that
were sampled. Texts are compared even where both have concepts: one text has one vector, and cannot
be pulled and pushed at once.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from drehr_rag.training.examples import Example

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Keys:
    """What entities are compared by, as numbers: processes exchange these, never text.

    Attributes:
        own: (anchor, key of the text or of the concept) of every entity of every anchor, (K, 2).
        texts: The key of each unique entity's text, (U,).
        concepts: (key of a text, key of a concept that it has in some chunk), (A, 2).
    """

    own: Ints
    texts: Ints
    concepts: Ints


def text_key(text: str) -> int:
    """A number for a text: case, width of characters and white space do not matter."""
    return _key("text", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def concept_key(concept: str) -> int:
    """A number for a concept id."""
    return _key("concept", concept)


def keys_of(examples: Iterable[Example], entities: Iterable[str]) -> Keys:
    """The keys of a batch whose unique entities are `entities`."""
    own: dict[tuple[int, int], None] = {}
    concepts: dict[tuple[int, int], None] = {}
    for anchor, example in enumerate(examples):
        for place, entity in enumerate(example.entities):
            text = text_key(entity)
            own[anchor, text] = None
            if example.concepts and (concept := example.concepts[place]):
                own[anchor, concept_key(concept)] = None
                concepts[text, concept_key(concept)] = None
    texts = np.array([text_key(entity) for entity in entities], np.int64)
    return Keys(pairs(own), texts, pairs(concepts))


def false_negatives(keys: Keys, anchors: int) -> NDArray[np.bool_]:
    """True where an entity is no negative of an anchor, shape (anchors, unique entities)."""
    carried, columns = _carried(keys).T
    known, codes = np.unique(carried, return_inverse=True)
    rows, own = keys.own.T
    shared = np.isin(own, known)
    has = np.zeros((anchors, len(known)), np.bool_)
    has[rows[shared], np.searchsorted(known, own[shared])] = True
    mask = np.zeros((anchors, len(keys.texts)), np.bool_)
    found, places = np.nonzero(has[:, codes])
    mask[found, columns[places]] = True
    return mask


def pairs(found: Iterable[tuple[int, int]]) -> Ints:
    """Pairs as an array of shape (number, 2), also where there are none."""
    return np.array(list(found), np.int64).reshape(-1, 2)


def _carried(keys: Keys) -> Ints:
    """(key, unique entity) of each entity's text and of all its concepts, (Q, 2)."""
    columns: dict[int, list[int]] = {}
    for column, text in enumerate(keys.texts.tolist()):
        columns.setdefault(text, []).append(column)
    found = [(text, column) for text, some in columns.items() for column in some]
    for text, concept in keys.concepts.tolist():
        found += [(concept, column) for column in columns.get(text, ())]
    return pairs(found)


def _key(kind: str, name: str) -> int:
    digest = blake2b(f"{kind}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
