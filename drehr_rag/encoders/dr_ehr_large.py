"""DR.EHR-large: NV-Embed-v2 tuned for EHR retrieval, 4096-d; non-commercial weights (PAPER.md §1).

`compat="released"` tokenises and pools as the authors' code does; `"strict"` repairs its two
slips: the last token of the instruction is pooled there, and a text over the limit loses EOS.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drehr_rag._extras import require
from drehr_rag.encoders._self_test import refuse_untrained
from drehr_rag.encoders._sentence_encoder import Precision, best_device, best_dtype, check_device
from drehr_rag.encoders._text_encoder import Overflow, TextEncoder
from drehr_rag.encoders._weights import model_folder, weights_hash
from drehr_rag.errors import BadArgument, EncoderError, UnknownName
from drehr_rag.types import Fingerprint

HUB = "THUMedInfo/DR.EHR-large"

INSTRUCTION = (
    "Instruct: Given the medical entity, retrieve relevant paragraphs of patients' medical records"
    "\nQuery: "
)
"""Before queries only; its tokens do not count in the mean (PAPER.md §1)."""

MAX_TOKENS = 512
"""Longest text, special tokens and instruction counted. The backbone reads 32,768; DR.EHR was
trained on 160 (PAPER.md §1), and its 100-word chunks fit in 512 whatever the words."""

BATCH_TOKENS = 16_384
"""Tokens a batch, padding counted."""

Compat = Literal["released", "strict"]


def load(
    model: str | None = None,
    *,
    compat: Compat = "released",
    device: str | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    precision: Precision = "auto",
    max_tokens: int = MAX_TOKENS,
    batch_tokens: int = BATCH_TOKENS,
    overflow: Overflow = "warn",
    self_test: bool = True,
    revision: str | None = None,
) -> "NvEmbedEncoder":
    """Load DR.EHR-large, or another checkpoint of NV-Embed-v2's architecture.

    Args:
        model: A folder or hub id; the authors' own by default.
        compat: Tokens and pooling as released, or strict.
        device: `cuda`, `cpu`, …; the best there is by default.
        device_map: `auto` to spread it over all GPUs (needs accelerate), in place of `device`.
        precision: `auto` is bfloat16 where it is fast.
        max_tokens: Longest text, special tokens and instruction counted.
        batch_tokens: Tokens a batch, padding counted.
        overflow: What happens to longer texts.
        self_test: Refuse weights that tell synonyms from strangers no better than chance.
        revision: Branch, tag or commit on the hub.

    Raises:
        ModelUnavailable: It is not on this machine and cannot be fetched.
        BadArgument: There is no such device here, or several were named.
        EncoderError: Parameters are missing or left over, or the weights look random.
    """
    require("transformers", extra="local")
    if compat not in get_args(Compat):
        raise UnknownName(f"compat is released or strict, not {compat!r}")
    if device_map is not None:
        require("accelerate", extra="multi-gpu")
    if not isinstance(device, str | None):
        raise BadArgument(
            "dr-ehr-large takes one device: device_map='auto' spreads it over all GPUs, and "
            "engine='ray' indexes with a copy on each"
        )
    place = device or best_device()
    check_device(place)
    folder = model_folder(model or HUB, revision=revision)
    network = require("drehr_rag.encoders._nv_embed", extra="local").load(
        folder, dtype=best_dtype(precision, place), device_map=device_map or place
    )
    fingerprint = Fingerprint(
        model="dr-ehr-large",
        weights=weights_hash(folder),
        pooling="latent attention, mean",
        query_prompt=INSTRUCTION,
        passage_prompt="",
        max_tokens=max_tokens,
        dimension=int(network.embedding_model.config.hidden_size),
        revision=revision,
        compat=compat,
    )
    encoder = NvEmbedEncoder(
        f"dr-ehr-large:{model}" if model else "dr-ehr-large",
        network,
        _tokenizer(folder, network.embedding_model.config),
        fingerprint,
        batch_tokens=batch_tokens,
        overflow=overflow,
    )
    if self_test:
        refuse_untrained(encoder)
    return encoder


def _tokenizer(folder: Path, config: Any) -> Any:
    auto = require("transformers", extra="local").AutoTokenizer
    tokenizer = auto.from_pretrained(folder, config=config)
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        raise EncoderError(f"{folder} needs a fast tokenizer with an end-of-text token")
    return tokenizer


class NvEmbedEncoder(TextEncoder):
    """A model of NV-Embed-v2's architecture.

    Args:
        name: What `load_encoder` takes to load it again.
        model: A `NvEmbedModel`.
        tokenizer: A fast one, with EOS.
        fingerprint: `compat` and the prompts in it decide how texts become tokens.
        batch_tokens: Tokens a batch, padding counted.
        overflow: What happens to texts that are too long.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        fingerprint: Fingerprint,
        *,
        batch_tokens: int = BATCH_TOKENS,
        overflow: Overflow = "warn",
    ) -> None:
        """Keep the parts; nothing is run."""
        super().__init__(name, fingerprint, overflow=overflow)
        self._model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens

    @property
    def tokenizer(self) -> Any:
        """The checkpoint's own."""
        return self._tokenizer

    def _special_tokens(self) -> int:
        return len(self._tokenizer("")["input_ids"]) + (not self._appends_eos)

    @property
    def _appends_eos(self) -> bool:
        last: list[int] = self._tokenizer("")["input_ids"][-1:]
        return last == [self._tokenizer.eos_token_id]

    def tokens(self, text: str, *, query: bool) -> tuple[list[int], list[bool]]:
        """Ids of a text as the model reads them, and which of them count in the mean."""
        instruction = self.fingerprint.query_prompt if query else self.fingerprint.passage_prompt
        make = self._released if self.fingerprint.compat == "released" else self._strict
        ids, pooled = make(instruction, text)
        if not any(pooled):
            raise EncoderError(
                f"max_tokens={self.fingerprint.max_tokens} leaves no room beside the instruction"
            )
        return ids, pooled

    def _released(self, instruction: str, text: str) -> tuple[list[int], list[bool]]:
        """EOS goes before the cut; as many positions as the instruction has tokens, less BOS."""
        end = "" if self._appends_eos else self._tokenizer.eos_token
        ids = self._tokenizer(
            instruction + text + end, truncation=True, max_length=self.fingerprint.max_tokens
        )["input_ids"]
        masked = len(self._tokenizer.tokenize(instruction))
        return ids, [position >= masked for position in range(len(ids))]

    def _strict(self, instruction: str, text: str) -> tuple[list[int], list[bool]]:
        """EOS always; every token with a character of the text, and EOS."""
        found = self._tokenizer(
            instruction + text, return_offsets_mapping=True, add_special_tokens=True, verbose=False
        )
        eos = self._tokenizer.eos_token_id
        ids = found["input_ids"][: -1 if self._appends_eos else None]
        ids = ids[: self.fingerprint.max_tokens - 1]
        spans = found["offset_mapping"][: len(ids)]
        pooled = [not instruction or end > len(instruction) for _, end in spans]
        return [*ids, eos], [*pooled, True]

    def _vectors(self, texts: Sequence[str], *, query: bool) -> NDArray[Any]:
        rows = [self.tokens(text, query=query) for text in texts]
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i][0]))
        out: NDArray[Any] = np.zeros((len(rows), self.fingerprint.dimension))
        while order:
            size = max(1, self._batch_tokens // len(rows[order[0]][0]))
            batch, order = order[:size], order[size:]
            out[batch] = self._run([rows[i] for i in batch])
        return out

    def _run(self, rows: Sequence[tuple[list[int], list[bool]]]) -> NDArray[Any]:
        torch = require("torch", extra="local")
        ids, there, pooled = padded(rows)
        device = self._model.embedding_model.embed_tokens.weight.device
        if device.type == "meta":  # accelerate fetches it from the CPU when it is needed
            device = "cpu"
        with torch.inference_mode():
            made = self._model(ids.to(device), there.to(device), pooled.to(device))
        vectors: NDArray[Any] = made.double().cpu().numpy()
        return vectors


def padded(rows: Sequence[tuple[list[int], list[bool]]]) -> tuple[Any, Any, Any]:
    """Rows of `NvEmbedEncoder.tokens` as tensors of ids, attention mask and pooled tokens."""
    torch = require("torch", extra="local")
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    there, pooled = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, (row, counted) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        there[i, : len(row)] = 1
        pooled[i, : len(row)] = torch.tensor(counted)
    return ids, there, pooled
