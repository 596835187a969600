"""A LlamaIndex component that uses an encoder: it ships the encoder's name, never its weights."""

from collections.abc import Mapping
from typing import Any, Self

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from drehr_rag.errors import EncoderMismatch
from drehr_rag.integrations._encoders import how_to_load, shared_encoder
from drehr_rag.protocols import Encoder
from drehr_rag.types import SERVED, Fingerprint


class EncoderByName(BaseModel):
    """Holds an encoder by its name; other processes load it again, once each.

    Copies share the weights. A component in another process checks that what it loads is what
    it was made with.
    """

    model_config = ConfigDict(extra="forbid")

    model_name: str
    encoder_options: dict[str, Any] = Field(
        default_factory=dict,
        exclude=True,
        description="Options of `load_encoder`, such as device; they count by their fingerprint.",
    )
    made_with: str | None = Field(default=None, exclude=True, repr=False)
    _encoder: Encoder | None = PrivateAttr(default=None)

    def __init__(
        self,
        model_name: str = "dr-ehr-small",
        *,
        encoder: Encoder | None = None,
        device: str | None = None,
        encoder_options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Load the encoder, unless this process has it: one that cannot be had is told now."""
        name, known = (model_name, {}) if encoder is None else how_to_load(encoder)
        options = {**known, **(encoder_options or {}), **({"device": device} if device else {})}
        super().__init__(model_name=name, encoder_options=options, **settings)
        self._encoder = encoder
        _ = self.encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded now if it was not.

        Raises:
            EncoderMismatch: This process finds other weights under the name.
            DrehrError: It cannot be loaded.
        """
        if self._encoder is None:
            loaded = shared_encoder(self.model_name, self.encoder_options)
            if self.made_with not in (None, identity(loaded.fingerprint)):
                raise EncoderMismatch(
                    f"{self.model_name} is another model in this process than where the "
                    f"{type(self).__name__} was made: use the same files in both, and give the "
                    "encoder by name with its encoder_options where load_encoder did not make it"
                )
            self._encoder = loaded
        return self._encoder

    def __getstate__(self) -> dict[Any, Any]:
        """Name, options and identity; LlamaIndex's own way would pickle the weights, twice."""
        made_with = self.made_with or identity(self.encoder.fingerprint)
        return {**self.__dict__, "made_with": made_with}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """As made, but for the weights, which are loaded when first used."""
        blank = type(self).model_construct(**state)
        object.__setattr__(self, "__dict__", blank.__dict__)
        object.__setattr__(self, "__pydantic_fields_set__", blank.__pydantic_fields_set__)
        object.__setattr__(self, "__pydantic_extra__", None)
        object.__setattr__(self, "__pydantic_private__", blank.__pydantic_private__)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """The weights are shared."""
        return self.model_copy()


def identity(fingerprint: Fingerprint) -> str:
    """What decides the vectors, in a line; a model's name only where a server hides the rest."""
    parts = {
        name: getattr(fingerprint, name)
        for name in fingerprint.__dataclass_fields__
        if name not in ("model", "revision") or fingerprint.weights == SERVED
    }
    return str(sorted(parts.items()))
