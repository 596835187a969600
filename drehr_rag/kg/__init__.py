"""Knowledge graphs: concepts, their names, what is broader, narrower and related.

`build_graph` makes a folder of arrays from terminologies, `StoredGraph` opens it.
"""

from drehr_rag.kg._records import Mention, Record, Unread
from drehr_rag.kg.build import Source, build_graph
from drehr_rag.kg.graph import StoredGraph
from drehr_rag.kg.matcher import Matcher
from drehr_rag.kg.nearest import NearestTerms

__all__ = [
    "Matcher",
    "Mention",
    "NearestTerms",
    "Record",
    "Source",
    "StoredGraph",
    "Unread",
    "build_graph",
]
