"""Addresses of servers: notes and keys travel to them, so who may overhear is asked first."""

import logging
from urllib.parse import urlsplit

from drehr_rag.errors import BadArgument

logger = logging.getLogger(__name__)

LOOPBACK = {"localhost", "127.0.0.1", "::1"}

KEYS = "QDRANT_API_KEY, DREHR_EMBEDDING_API_KEY, DREHR_RERANK_API_KEY or OPENAI_API_KEY"
"""Where the keys of a store, an encoder, a reranker and a generator are looked for."""


def checked_url(url: str, *, what: str, key: bool) -> str:
    """The address without a slash at its end, if notes may be sent there.

    Plain http to another host is warned of, since a private network may be what is meant; with a
    key it is refused.

    Args:
        url: `http://…` or `https://…`.
        what: Whose it is, for messages ("the Qdrant server").
        key: Whether a key is sent along.

    Raises:
        BadArgument: It is no such address, holds a name or password, or a key would travel in the
            clear.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError):
        host = None
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise BadArgument(f"the address of {what} is no http(s)://HOST:PORT")
    if "@" in parts.netloc:  # logs, messages and manifests repeat addresses
        raise BadArgument(
            f"the address of {what} holds a name or a password: leave out what stands before the @ "
            f"and put the key into the environment ({KEYS})"
        )
    if parts.scheme.lower() == "http" and host not in LOOPBACK:
        if key:
            raise BadArgument(f"the key of {what} would travel unencrypted to {host}: use https")
        logger.warning("notes travel unencrypted to %s at %s: use https", what, host)
    return url.strip().rstrip("/")
