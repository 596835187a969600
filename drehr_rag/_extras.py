"""Import an optional dependency, or name the extra to install."""

from importlib import import_module
from types import ModuleType

from drehr_rag.errors import MissingExtra


def require(module: str, *, extra: str) -> ModuleType:
    """Return the imported module.

    Args:
        module: Dotted name, e.g. `"sentence_transformers"`.
        extra: The extra of this package that brings it, e.g. `"local"`.

    Raises:
        MissingExtra: The module is not installed; the message is the command to type.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not module.startswith(missing.name.split(".")[0]):
            raise
        raise MissingExtra(
            f"{module.split('.', maxsplit=1)[0]} is not installed: pip install 'drehr-rag[{extra}]'"
        ) from missing
