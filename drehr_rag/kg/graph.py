"""A knowledge graph in a folder, memory-mapped: only what is asked for is read."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from drehr_rag.errors import UnknownName
from drehr_rag.kg._csr import Csr
from drehr_rag.kg._files import damaged, get_csr, get_owner, get_texts, read_manifest
from drehr_rag.kg._keys import hash_of, key_of


class StoredGraph:
    """What `build_graph` wrote. Safe to share between threads and to pickle: it is only read.

    Attributes:
        folder: Where it lies.
    """

    def __init__(self, folder: str | Path) -> None:
        """Map a graph.

        Raises:
            GraphError: There is none, or it is damaged, or of another version.
        """
        self.folder = Path(folder)
        self._facts = read_manifest(self.folder)
        self._terms = get_texts(self.folder, "terms")
        self._ids = get_texts(self.folder, "ids")
        self._owner = get_owner(self.folder)
        self._concept_terms = get_csr(self.folder, "concept_terms")
        self._term_concepts = get_csr(self.folder, "term_concepts")
        self._parents = get_csr(self.folder, "parents")
        self._children = get_csr(self.folder, "children")
        self._related = get_csr(self.folder, "related", labelled=True)
        self._types = get_csr(self.folder, "types")
        self._aliases = get_csr(self.folder, "aliases")

    def __reduce__(self) -> tuple[type["StoredGraph"], tuple[Path]]:
        return StoredGraph, (self.folder,)

    def __repr__(self) -> str:
        return f"StoredGraph({str(self.folder)!r}, {self.manifest['concepts']} concepts)"

    def __len__(self) -> int:
        """How many concepts there are."""
        return int(self._facts["concepts"])

    def __contains__(self, concept_id: object) -> bool:
        return isinstance(concept_id, str) and self._find(concept_id) is not None

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Sources with licences and checksums, counts, names of types and relations."""
        return MappingProxyType(self._facts)

    @property
    def checksum(self) -> str:
        """Of its terms, so that what was made of them can tell."""
        return str(self._facts["files"]["terms.blob.npy"]["sha256"])

    def concepts(self, term: str) -> list[str]:
        """Ids of the concepts that bear this name, whatever its case and spacing."""
        number = self.term_number(term)
        return [] if number is None else self.concepts_of_term(number)

    def concepts_of_term(self, number: int) -> list[str]:
        """Ids of the concepts that bear term `number`."""
        return [self._ids.text(concept) for concept in self._term_concepts.row(number)]

    def term(self, number: int) -> str:
        """Term `number`, as it is written."""
        return self._terms.text(number)

    def term_number(self, term: str) -> int | None:
        """The number of a term, if it is in the graph."""
        key = key_of(term)
        try:
            found = self._terms.with_hash(hash_of(key))
        except UnicodeEncodeError:  # half of a surrogate pair is in no graph
            return None
        return next((n for n in found if key_of(self._terms.text(n)) == key), None)

    def concept_ids(self) -> Iterator[str]:
        """Every concept's own id."""
        return islice(self._ids.each(), len(self))

    def concept_id(self, any_id: str) -> str:
        """The id that a concept is called by here, from any of its ids.

        Raises:
            UnknownName: There is no such concept.
        """
        return self._ids.text(self._number(any_id))

    def identifiers(self, concept_id: str) -> list[str]:
        """Every id of the concept in the joined sources, its own first."""
        concept = self._number(concept_id)
        return [self._ids.text(n) for n in (concept, *self._aliases.row(concept))]

    def synonyms(self, concept_id: str) -> list[str]:
        """Every name of the concept, the preferred first."""
        row = self._concept_terms.row(self._number(concept_id))
        return [self._terms.text(number) for number in row]

    def preferred_term(self, concept_id: str) -> str | None:
        """The name to show; None for a concept without names."""
        return next(iter(self.synonyms(concept_id)), None)

    def hypernyms(self, concept_id: str, *, depth: int | None = 1) -> list[str]:
        """Broader concepts up to `depth` steps away (None: all), nearest first, never itself."""
        return self._walk(self._parents, concept_id, depth)

    def hyponyms(self, concept_id: str, *, depth: int | None = 1) -> list[str]:
        """Narrower concepts, likewise."""
        return self._walk(self._children, concept_id, depth)

    def related(self, concept_id: str) -> list[tuple[str, str]]:
        """Pairs of a relation's name and the concept that it leads to, as the sources give them."""
        names = self._facts["relations"]
        row = self._related.labelled(self._number(concept_id))
        return [(names[label], self._ids.text(target)) for label, target in row]

    def semantic_types(self, concept_id: str) -> list[str]:
        """Names of its semantic types."""
        names = self._facts["types"]
        return [names[number] for number in self._types.row(self._number(concept_id))]

    def terms(self) -> Iterator[str]:
        """Every name in the graph once, in the order of its number."""
        return self._terms.each()

    def damaged_files(self) -> list[str]:
        """Names of the files whose checksum is not the manifest's; reads them all."""
        return damaged(self.folder, self._facts)

    def _find(self, concept_id: str) -> int | None:
        try:
            found = self._ids.with_hash(hash_of(concept_id))
        except UnicodeEncodeError:
            return None
        exact = (n for n in found if self._ids.text(n) == concept_id)
        return next((int(self._owner[n]) for n in exact), None)

    def _number(self, concept_id: str) -> int:
        number = self._find(concept_id)
        if number is None:
            raise UnknownName(
                f"{self.folder} has no concept {concept_id!r}: "
                "its ids are like DOID:1205; drehr-rag kg lookup finds them by name"
            )
        return number

    def _walk(self, edges: Csr, concept_id: str, depth: int | None) -> list[str]:
        """Breadth first; each concept once, so that a ring ends the walk."""
        front = [self._number(concept_id)]
        seen = dict.fromkeys(front)
        while front and (depth is None or depth > 0):
            near = dict.fromkeys(target for one in front for target in edges.row(one))
            front = [target for target in near if target not in seen]
            seen.update(dict.fromkeys(front))
            depth = None if depth is None else depth - 1
        return [self._ids.text(number) for number in list(seen)[1:]]
