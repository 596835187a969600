"""One spelling for the ids of concepts: `PREFIX:LOCAL`, the prefix in capitals."""

import re

_PURL = re.compile(r"^<?https?://purl\.obolibrary\.org/obo/([A-Za-z]+)_(\w+)>?$")
_CURIE = re.compile(r"^([A-Za-z][\w.-]*):(\S+)$")


def curie(text: str, prefix: str = "") -> str:
    """An id, from a CURIE, an OBO address, or a bare code with its prefix.

    `http://purl.obolibrary.org/obo/DOID_8718` and `doid:8718` are both `DOID:8718`; with
    `prefix="MESH"`, `D001281` is `MESH:D001281`.
    """
    word = text.strip()
    if found := _PURL.match(word) or _CURIE.match(word):
        if found[2].startswith("//"):
            return word
        return f"{found[1].upper()}:{found[2]}"
    return f"{prefix}:{word}" if prefix and word else word
