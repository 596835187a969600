"""What each client of an OpenAI-compatible language model needs: address, key, model's name."""

import os
from typing import Any

from drehr_rag._urls import checked_url
from drehr_rag.errors import BadArgument, GeneratorError


def address_and_headers(
    url: str, api_key: str | None, *, what: str = "the generator"
) -> tuple[str, dict[str, str]]:
    """The address up to `/v1`, and the header with the key, if there is one.

    Args:
        url: Base address, with or without `/v1`.
        api_key: By default from the environment variable OPENAI_API_KEY.
        what: Whose they are, for messages.

    Raises:
        BadArgument: The address is none, or the key would travel in the clear or in no header.
    """
    key = api_key or os.environ.get("OPENAI_API_KEY")
    base = checked_url(url, what=what, key=bool(key))
    if key and not (key.isascii() and key.isprintable()):  # a header could not hold it
        raise BadArgument(f"{what}'s key holds characters that no key has: was it cut?")
    address = base if base.endswith("/v1") else f"{base}/v1"
    return address, {"Authorization": f"Bearer {key}"} if key else {}


def only_model(listed: Any, address: str) -> str:
    """The name of the only model that `/v1/models` lists.

    Raises:
        GeneratorError: It lists none, or several.
    """
    try:
        names = [str(entry["id"]) for entry in listed["data"]]
    except (KeyError, TypeError):
        names = []
    if len(names) != 1:
        raise GeneratorError(f"{address} serves {len(names)} models: name one of {names}")
    return names[0]
