"""What `ask` and `chat` share: an open index, the generator that was named, the chain of both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from drehr_rag.cli import _options as o
from drehr_rag.errors import BadArgument
from drehr_rag.generators import load_generator
from drehr_rag.index import EhrIndex
from drehr_rag.protocols import Generator
from drehr_rag.qa import AuditLog, QaChain
from drehr_rag.types import Scope

Audit = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Add a record of each question to this file: who, whose, which chunks."),
]


@contextmanager
def opened_chain(
    store: str,
    scope: Scope,
    *,
    generator_url: str | None,
    model: str | None,
    encoder: str | None,
    access: list[str] | None,
    audit: Path | None,
) -> Iterator[tuple[QaChain, Generator | None]]:
    """The chain over a store, and its generator, if one was named; both are closed afterwards.

    Raises:
        BadArgument: A model without an address, or an empty address.
        StoreMissing: There is no such store.
    """
    if model is not None and not generator_url:
        raise BadArgument("--model goes with --generator-url")
    if generator_url is not None and not generator_url.strip():
        raise BadArgument("--generator-url is empty: leave it out to quote the notes")
    with ExitStack() as stack:
        generator: Any = None
        if generator_url:
            generator = load_generator("openai", url=generator_url, model=model)
            stack.callback(generator.close)
        opened = EhrIndex.open(store, encoder=encoder, access=o.access_of(access), create=False)
        index = stack.enter_context(opened)
        o.warn_unknown(index, scope)
        yield index.qa_chain(generator, audit=AuditLog(audit) if audit else None), generator
