"""MedCPT: one BERT for queries, another for articles, `[CLS]` of each, 768-d.

It was trained, and is published, for the dot product of vectors of any length
(github.com/ncbi/MedCPT, `retriever/models.py`, `IndexFlatIP`). Our stores compare unit vectors by
cosine, which drops the lengths: hits may stand in another order than MedCPT's own.

The article encoder was trained on pairs of title and abstract. A chunk of a note has no title, so
it is read as one text; nobody has published how much that costs.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from drehr_rag._extras import require
from drehr_rag.encoders._sentence_encoder import SentenceEncoder, sentence_encoder
from drehr_rag.encoders._weights import model_folder
from drehr_rag.errors import BadArgument, EncoderError, ModelUnavailable
from drehr_rag.types import Vectors

QUERIES, ARTICLES = "MedCPT-Query-Encoder", "MedCPT-Article-Encoder"
"""On the hub under `ncbi/`; as subfolders of one local folder."""

QUERY_TOKENS = 64
"""`max_length` in both model cards, `--max_query_length` in training (`retriever/main.py`)."""

ARTICLE_TOKENS = 512
"""Likewise; `--max_doc_length`."""


def load(model: str | None = None, **options: Any) -> "MedCptEncoder":
    """Load both encoders.

    Args:
        model: A folder with the subfolders `MedCPT-Query-Encoder` and `MedCPT-Article-Encoder`;
            or two folders or hub ids with a comma between, queries first; NCBI's own by default.
            Pooling is `[CLS]` and there are no prompts, whatever the folders say.
        options: `device`, `precision`, `overflow`, `batch_size`, for both.

    Raises:
        BadArgument: A revision was named.
        ModelUnavailable: One of them is not on this machine and cannot be fetched.
        EncoderError: A folder is no such model, or only a part of it.
    """
    require("sentence_transformers", extra="local")
    if options.get("revision") is not None:
        raise BadArgument(
            "medcpt is two repositories and takes no revision: fetch the revision of each (hf "
            "download … --revision …) and give the folders"
        )
    name, queries, articles = _places(model)
    return MedCptEncoder(
        name,
        queries=_half(f"{name} (queries)", queries, QUERY_TOKENS, options),
        articles=_half(f"{name} (articles)", articles, ARTICLE_TOKENS, options),
    )


def _places(model: str | None) -> tuple[str, str, str]:
    """The encoder's name, and where its halves are."""
    if not model:
        return "medcpt", f"ncbi/{QUERIES}", f"ncbi/{ARTICLES}"
    folder = Path(model).expanduser()
    if all((folder / half).is_dir() for half in (QUERIES, ARTICLES)):
        return f"medcpt:{model}", str(folder / QUERIES), str(folder / ARTICLES)
    if "," in model and not folder.is_dir():
        queries, articles = map(_resolved, model.split(",", maxsplit=1))
        return f"medcpt:{queries},{articles}", queries, articles
    raise ModelUnavailable(
        f"{model} is no folder with the subfolders {QUERIES} and {ARTICLES}. Where there is "
        f"internet, type for each of the two: hf download ncbi/{QUERIES} --local-dir "
        f"MODEL/{QUERIES} ; copy the folder MODEL here and give medcpt:MODEL"
    )


def _resolved(place: str) -> str:
    place = place.strip()
    return str(Path(place).resolve()) if Path(place).is_dir() else place


def _half(name: str, place: str, max_tokens: int, options: dict[str, Any]) -> SentenceEncoder:
    return sentence_encoder(
        name,
        model_folder(place),
        model=Path(place).name,
        cls=True,
        max_tokens=max_tokens,
        query_prompt="",
        passage_prompt="",
        **options,
    )


class MedCptEncoder:
    """Queries by one encoder, passages by the other, each with its own limit and tokenizer.

    Args:
        name: What `load_encoder` takes to load it again.
        queries: The query encoder.
        articles: The article encoder.

    Raises:
        EncoderError: They do not belong together.
    """

    def __init__(self, name: str, *, queries: SentenceEncoder, articles: SentenceEncoder) -> None:
        """Nothing is run."""
        self.name = name
        self.queries, self.articles = queries, articles
        both = [queries.fingerprint, articles.fingerprint]
        if both[0].dimension != both[1].dimension:
            raise EncoderError(
                f"{name} is no pair: vectors of {both[0].dimension} numbers for queries and "
                f"{both[1].dimension} for articles"
            )
        weights = sha256("".join(f"{half.weights} {half.max_tokens}\n" for half in both).encode())
        self.fingerprint = replace(both[1], model="medcpt", weights=weights.hexdigest())

    def __repr__(self) -> str:
        """Name and fingerprint."""
        return f"{type(self).__name__}({self.name!r}, {self.fingerprint})"

    @property
    def max_tokens(self) -> int:
        """Longest passage that is not cut, without special tokens; `queries.max_tokens` is less."""
        return self.articles.max_tokens

    @property
    def truncated(self) -> int:
        """How many texts were cut since it was loaded, queries and passages."""
        return self.queries.truncated + self.articles.truncated

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each passage, special tokens left out."""
        return self.articles.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """As `SentenceEncoder.encode_queries`, by the query encoder."""
        return self.queries.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """As `SentenceEncoder.encode_passages`, by the article encoder."""
        return self.articles.encode_passages(texts)

    def query_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """As `SentenceEncoder.query_tokens`, by the query encoder."""
        return self.queries.query_tokens(texts)

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """As `SentenceEncoder.passage_tokens`, by the article encoder."""
        return self.articles.passage_tokens(texts)
