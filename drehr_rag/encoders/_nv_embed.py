"""The NV-Embed-v2 architecture on transformers' own Mistral: no remote code (PAPER.md §1).

```text
token ids → Mistral, every token sees every token → latent attention → mean of the pooled tokens
```

Names of modules are those of the published checkpoint. Import needs torch and transformers.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import MistralConfig, MistralModel
from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

from drehr_rag.errors import EncoderError

SAMPLE = 16
"""Numbers at either end of each parameter that are compared with the file after loading."""


@dataclass(frozen=True)
class LatentConfig:
    """The block on top; the published sizes are the defaults (PAPER.md §1).

    Attributes:
        num_latents_value: Trainable latents, the keys and values.
        num_cross_heads: Heads.
        cross_dim_head: Width of a head.
        latent_dim: Width of a latent.
        hidden_dim: Width of a token's state.
        mult: The feed-forward's inner width over `hidden_dim`.
    """

    num_latents_value: int = 512
    num_cross_heads: int = 8
    cross_dim_head: int = 4096
    latent_dim: int = 4096
    hidden_dim: int = 4096
    mult: int = 4


class _PreNorm(nn.Module):
    """A function of layer-normed states, and of a layer-normed context if it has one."""

    def __init__(self, fn: nn.Module, width: int, context_width: int | None = None) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(context_width) if context_width else None

    def forward(self, states: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        normed = self.norm(states)
        if self.norm_context is None:
            return self.fn(normed)
        return self.fn(normed, self.norm_context(context))


class _CrossAttention(nn.Module):
    """The states ask, the context answers; no bias."""

    def __init__(self, width: int, context_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * head_width, bias=False)
        self.to_kv = nn.Linear(context_width, 2 * heads * head_width, bias=False)
        self.to_out = nn.Linear(heads * head_width, width, bias=False)

    def forward(self, states: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        keys, values = self.to_kv(context).chunk(2, dim=-1)
        q, k, v = (self._split(part) for part in (self.to_q(states), keys, values))
        k, v = (part.expand(q.shape[0], -1, -1, -1) for part in (k, v))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.to_out(mixed.transpose(1, 2).flatten(2))

    def _split(self, part: torch.Tensor) -> torch.Tensor:
        return part.unflatten(-1, (self.heads, -1)).transpose(-3, -2)


class _Geglu(nn.Module):
    """First half times GELU of the second."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        values, gates = states.chunk(2, dim=-1)
        return values * nn.functional.gelu(gates)


class _FeedForward(nn.Module):
    def __init__(self, width: int, mult: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, 2 * mult * width), _Geglu(), nn.Linear(mult * width, width)
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.net(states)


class _LatentAttention(nn.Module):
    """Token states ask the latents; then a feed-forward. Each token alone, so no mask."""

    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        width, context = config.hidden_dim, config.latent_dim
        self.latents = nn.Parameter(torch.randn(config.num_latents_value, context))
        attention = _CrossAttention(width, context, config.num_cross_heads, config.cross_dim_head)
        self.cross_attend_blocks = nn.ModuleList(
            [
                _PreNorm(attention, width, context),
                _PreNorm(_FeedForward(width, config.mult), width),
            ]
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        attend, feed = self.cross_attend_blocks
        states = attend(states, self.latents.unsqueeze(0)) + states
        return feed(states) + states


class NvEmbedModel(nn.Module):
    """NV-Embed-v2: 7.85 billion parameters at its published size.

    Args:
        mistral: Of the decoder; its causal mask and sliding window are taken away.
        latent: Of the block on top.
    """

    def __init__(self, mistral: MistralConfig, latent: LatentConfig) -> None:
        """Random weights; `load` reads a checkpoint."""
        super().__init__()
        mistral.is_causal = False  # transformers builds the mask from this one ...
        mistral.sliding_window = None
        mistral.use_cache = False
        self.embedding_model = MistralModel(mistral)
        for layer in self.embedding_model.layers:
            layer.self_attn.is_causal = False  # ... and SDPA without a mask asks this one
        self.latent_attention_model = _LatentAttention(latent)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        """One vector of length 1 a row.

        Args:
            input_ids: Shape (texts, tokens), padded at the right.
            attention_mask: Shape (texts, tokens): 1 where there is a token.
            pooled: Shape (texts, tokens): 1 where the token counts in the mean.

        Returns:
            Shape (texts, hidden), float32 or wider.
        """
        states = self.embedding_model(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        states = self.latent_attention_model(states)
        states = states.to(torch.promote_types(states.dtype, torch.float32))
        weights = pooled.to(states)[..., None]
        total = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return nn.functional.normalize(total, dim=-1)


# -- a checkpoint ------------------------------------------------------------------------------


def configs(folder: Path) -> tuple[MistralConfig, LatentConfig]:
    """What `config.json` says; the published checkpoint nests both, sizes left out are its own.

    Raises:
        EncoderError: There is no such file, or it is of another architecture.
    """
    try:
        given = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise EncoderError(f"{folder} has no readable config.json: {problem}") from None
    if "latent_attention_config" not in given or "text_config" not in given:
        raise EncoderError(
            f"{folder}/config.json is of {given.get('model_type', 'an unknown model')!r}, not of "
            f"NV-Embed: it has no text_config and latent_attention_config"
        )
    text = {k: v for k, v in given["text_config"].items() if k not in _NOT_OURS}
    known = {field.name for field in fields(LatentConfig)}
    latent = {k: v for k, v in given["latent_attention_config"].items() if k in known}
    return MistralConfig(**text), LatentConfig(**latent)


_NOT_OURS = {"model_type", "architectures", "auto_map", "torch_dtype", "dtype", "_name_or_path"}
"""Keys of `text_config` that name foreign code or this machine's choice."""


def load(folder: Path, *, dtype: torch.dtype, device_map: str | Mapping[str, Any]) -> NvEmbedModel:
    """Read a checkpoint: `model.safetensors`, or shards with their index.

    Args:
        folder: Where it is.
        dtype: The parameters are cast to it.
        device_map: A device, `auto` (spread over all GPUs), or modules and their devices; the
            last two need the package accelerate.

    Raises:
        EncoderError: Parameters are missing, left over or of another shape (each is named), or
            they do not fit in memory.
    """
    with torch.device("meta"):
        model = NvEmbedModel(*configs(folder))
    config = model.embedding_model.config
    model.embedding_model.rotary_emb = MistralRotaryEmbedding(config)  # a buffer in no file
    places = _places(model, device_map, dtype)
    if "disk" in places.values():
        raise EncoderError(
            f"{folder} in {dtype} does not fit in the memory of the GPUs and the processor: "
            f"take a narrower precision or a larger machine (parameters on disk are not supported)"
        )
    expected = dict(model.named_parameters())
    seen: set[str] = set()
    wrong: list[str] = []
    for name, tensor in tensors(folder):
        if name not in expected:
            wrong.append(f"unexpected {name}")
        elif tensor.shape != expected[name].shape:
            wrong.append(f"{name} is {tuple(tensor.shape)}, not {tuple(expected[name].shape)}")
        else:
            _put(model, name, tensor.to(_place(places, name), dtype))
            if not torch.isfinite(model.get_parameter(name)).all():
                wrong.append(f"{name} holds numbers that are not finite in {dtype}")
        seen.add(name)
    wrong += [f"missing {name}" for name in expected if name not in seen]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise EncoderError(f"{folder} is no sound NV-Embed: {'; '.join(wrong[:5])}{more}")
    model.embedding_model.rotary_emb.to(_place(places, "embedding_model.rotary_emb"))
    model.eval().requires_grad_(False)
    check(model, folder)  # before the dispatch, which takes away what does not fit on a GPU
    if len(set(places.values())) > 1:
        from accelerate import dispatch_model

        model = dispatch_model(model, places)
    return model


def check(model: NvEmbedModel, folder: Path) -> None:
    """Compare what was loaded with the files, so that random weights cannot pass unseen.

    The first and last 16 numbers of every parameter, and the rotary frequencies with their
    formula.

    Raises:
        EncoderError: A parameter is not what the file holds; it is named.
    """
    held = dict(model.named_parameters())
    for name, tensor in tensors(folder):
        flat, given = held[name].flatten(), tensor.flatten()
        for part in (slice(0, SAMPLE), slice(-SAMPLE, None)):
            expected = given[part].to(flat.device, flat.dtype)
            if not torch.equal(flat[part], expected):
                raise EncoderError(f"{name} does not hold what {folder} says: broken install")
    rotary = model.embedding_model.rotary_emb
    expected, _ = rotary.compute_default_rope_parameters(model.embedding_model.config)
    if not torch.allclose(rotary.inv_freq.cpu(), expected.cpu()):
        raise EncoderError("the rotary frequencies are not those of the configuration")


def save(model: NvEmbedModel, folder: Path, *, shards: int = 1) -> None:
    """Write a checkpoint in the published layout (no tokenizer).

    Args:
        model: What to write.
        folder: Made if it does not exist.
        shards: Files that the parameters are spread over.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    names = list(state)
    latent = model.latent_attention_model
    attention = latent.cross_attend_blocks[0].fn
    sizes = LatentConfig(
        num_latents_value=latent.latents.shape[0],
        num_cross_heads=attention.heads,
        cross_dim_head=attention.to_q.out_features // attention.heads,
        latent_dim=latent.latents.shape[1],
        hidden_dim=attention.to_out.out_features,
        mult=latent.cross_attend_blocks[1].fn.net[2].in_features // attention.to_out.out_features,
    )
    config = {
        "model_type": "nvembed",
        "text_config": model.embedding_model.config.to_diff_dict(),
        "latent_attention_config": vars(sizes),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    if shards == 1:
        save_file(state, folder / "model.safetensors")
        return
    where: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        own = names[number::shards]
        save_file({name: state[name] for name in own}, folder / file)
        where.update(dict.fromkeys(own, file))
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the files, one at a time, on the CPU.

    Raises:
        EncoderError: A file is missing or broken.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        files = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    else:
        files = ["model.safetensors"]
    for file in files:
        try:
            with safe_open(folder / file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  (not a dictionary)
                    yield name, opened.get_tensor(name)
        except (OSError, SafetensorError) as problem:
            raise EncoderError(f"{folder / file} cannot be read: {problem}") from None


def _places(model: NvEmbedModel, device_map: str | Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    if not isinstance(device_map, str):
        return dict(device_map)
    if device_map != "auto":
        return {"": device_map}
    from accelerate import infer_auto_device_map

    whole = ["MistralDecoderLayer", "_LatentAttention"]
    return dict(infer_auto_device_map(model, no_split_module_classes=whole, dtype=dtype))


def _place(places: Mapping[str, Any], name: str) -> Any:
    while name not in places:
        if not name:
            return "cpu"
        name = name.rpartition(".")[0]
    return places[name]


def _put(model: nn.Module, name: str, tensor: torch.Tensor) -> None:
    owner, _, last = name.rpartition(".")
    module = model.get_submodule(owner)
    setattr(module, last, nn.Parameter(tensor, requires_grad=False))
