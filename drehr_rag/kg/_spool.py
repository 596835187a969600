"""Takes records in any order and any number; holds numbers in memory and names on disk."""

from array import array
from typing import BinaryIO

from drehr_rag.kg._keys import hash_of, key_of
from drehr_rag.kg._records import Record

LONGEST = 1_000
"""Characters of a term; what is longer is no name (UMLS has definitions among its terms)."""


class Spool:
    """Records, taken apart into columns.

    Attributes:
        ids: Number of each concept id that was met, in order of appearance.
        types: Number of each semantic type.
        relations: Number of each relation's name.
        known: Concepts of which more is said than that they equal another.
        left_out: Terms that were not taken, by reason.
    """

    def __init__(self, names: BinaryIO) -> None:
        self._names = names
        self.ids: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self.relations: dict[str, int] = {}
        self.known = bytearray()
        self.left_out: dict[str, int] = {}
        self.term_hash, self.term_length = array("Q"), array("I")
        self.term_concept, self.term_last = array("I"), array("B")
        self.child, self.parent = array("I"), array("I")
        self.subject, self.relation, self.object = array("I"), array("H"), array("I")
        self.typed, self.type = array("I"), array("H")
        self.one, self.other = array("I"), array("I")

    def add(self, record: Record) -> None:
        """Take a record; the terms that cannot be taken are counted in `left_out`."""
        concept = self._id(record.concept_id)
        if record.preferred is not None:
            self._term(concept, record.preferred, last=False)
        for term in record.terms:
            if term != record.preferred:
                self._term(concept, term, last=True)
        for parent in record.parents:
            self._edge(concept, parent)
        for name, target in record.related:
            self.subject.append(concept)
            self.relation.append(_number(self.relations, name))
            self.object.append(self._id(target))
            self.known[concept] = self.known[self.object[-1]] = 1
        for name in record.types:
            self.typed.append(concept)
            self.type.append(_number(self.types, name))
            self.known[concept] = 1
        for same in record.same_as:
            self.one.append(concept)
            self.other.append(self._id(same))

    def release(self, *columns: str) -> None:
        """Let go of columns that have been used up."""
        for column in columns:
            delattr(self, column)

    def _id(self, concept_id: str) -> int:
        number = self.ids.setdefault(concept_id, len(self.ids))
        if number == len(self.known):
            self.known.append(0)
        return number

    def _edge(self, child: int, parent: str) -> None:
        target = self._id(parent)
        self.child.append(child)
        self.parent.append(target)
        self.known[child] = self.known[target] = 1

    def _term(self, concept: int, term: str, *, last: bool) -> None:
        text = " ".join(term.split())
        key = key_of(text)
        if not key or len(text) > LONGEST:
            self._leave("empty" if not key else f"longer than {LONGEST:,} characters")
            return
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            self._leave("half of a surrogate pair")
            return
        self._names.write(raw)
        self.term_length.append(len(raw))
        self.term_hash.append(hash_of(key))
        self.term_concept.append(concept)
        self.term_last.append(last)
        self.known[concept] = 1

    def _leave(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def _number(table: dict[str, int], name: str) -> int:
    return table.setdefault(name, len(table))
