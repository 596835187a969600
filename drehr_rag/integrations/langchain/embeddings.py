"""`DrEhrEmbeddings`: an encoder of this package as LangChain's `Embeddings`."""

from typing import TYPE_CHECKING, Any, Self

from langchain_core.embeddings import Embeddings
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr

from drehr_rag._arguments import check_list
from drehr_rag.errors import BadArgument
from drehr_rag.integrations._encoders import shared_encoder
from drehr_rag.integrations._threads import twin
from drehr_rag.protocols import Encoder


class DrEhrEmbeddings(BaseModel, Embeddings):
    """Queries and passages to vectors of length 1, each by its own path of the encoder.

    Pooling, prompts and normalisation belong to the encoder and cannot be set by mistake. It is
    loaded when first used.

    Args:
        model: What `drehr_rag.load_encoder` takes: `dr-ehr-small`, `offline`, a folder, … Also
            under the name `model_name`.
        options: The encoder's own, e.g. `{"device": "cuda"}`. Also under the name `model_kwargs`.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str = Field(validation_alias=AliasChoices("model", "model_name"))
    options: dict[str, Any] = Field(
        default_factory=dict, validation_alias=AliasChoices("options", "model_kwargs")
    )
    _given: Encoder | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, encoder: Encoder) -> Self:
        """Embeddings of an encoder that is loaded already."""
        embeddings = cls(model=encoder.name)
        embeddings._given = encoder
        return embeddings

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded now if it was not; one copy of its weights in this process."""
        if self._given is not None:
            return self._given
        return shared_encoder(self.model, self.options)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a passage.

        Args:
            texts: A list or a generator.

        Raises:
            BadArgument: One of them is no text.
            ModelUnavailable: The model is not on this machine and cannot be fetched.
        """
        check_list(texts, "texts")
        given = list(texts)
        for number, text in enumerate(given):
            _check(text, f"texts[{number}]")
        vectors: list[list[float]] = self.encoder.encode_passages(given).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query.

        Raises:
            BadArgument: It is no text.
            ModelUnavailable: The model is not on this machine and cannot be fetched.
        """
        _check(text, "text")
        vector: list[float] = self.encoder.encode_queries([text])[0].tolist()
        return vector

    if not TYPE_CHECKING:  # the signatures are the base's; its bodies take the loop's own threads
        aembed_documents = twin(embed_documents)
        aembed_query = twin(embed_query)


def _check(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise BadArgument(f"{what} is {type(text).__name__}, not text")
