"""Slow, explicit float64 reference of the NV-Embed-v2 embedding architecture (numpy only).

One unpadded text at a time. Every linear weight is stored as (outputs, inputs), as in the
checkpoint: ``y = W @ x + b``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Params = dict[str, np.ndarray]
LAYER_NORM_EPS = 1e-5
L2_EPS = 1e-12
LATENT = "latent_attention_model"


def get(params: Params, name: str) -> np.ndarray:
    """Return the parameter called `name` in float64."""
    return np.asarray(params[name], dtype=np.float64)


# --------------------------------------------------------------------------- small pieces


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Apply ``W @ x + b`` to each row of `x` (rows x inputs)."""
    out = np.zeros((x.shape[0], weight.shape[0]), dtype=np.float64)
    for row in range(x.shape[0]):
        out[row] = weight @ x[row]
        if bias is not None:
            out[row] = out[row] + bias
    return out


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax of a vector."""
    exps = np.exp(scores - np.max(scores))
    return exps / np.sum(exps)


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """RMSNorm of each row: ``weight * x / sqrt(mean(x^2) + eps)``."""
    out = np.zeros_like(x)
    for row in range(x.shape[0]):
        out[row] = weight * (x[row] / math.sqrt(float(np.mean(x[row] ** 2)) + eps))
    return out


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """LayerNorm of each row (biased variance, eps 1e-5)."""
    out = np.zeros_like(x)
    for row in range(x.shape[0]):
        centred = x[row] - np.mean(x[row])
        variance = float(np.mean(centred**2))
        out[row] = centred / math.sqrt(variance + LAYER_NORM_EPS) * weight + bias
    return out


def silu(x: np.ndarray) -> np.ndarray:
    """``x * sigmoid(x)``, with the sigmoid written as ``(1 + tanh(x/2)) / 2`` (no overflow)."""
    return x * 0.5 * (1.0 + np.tanh(0.5 * x))


def gelu_exact(x: np.ndarray) -> np.ndarray:
    """``x * Phi(x)`` with the error function (not the tanh approximation)."""
    out = np.zeros_like(x)
    for index, value in np.ndenumerate(x):
        out[index] = 0.5 * value * math.erfc(-value / math.sqrt(2.0))
    return out


# --------------------------------------------------------------------------- Mistral decoder


def rotate_half(x: np.ndarray) -> np.ndarray:
    """Hugging Face convention: ``(first, second) -> (-second, first)`` over the two halves."""
    half = x.shape[0] // 2
    return np.concatenate([-x[half:], x[:half]])


def rotary(x: np.ndarray, position: int, theta: float) -> np.ndarray:
    """Rotate one head vector `x` to `position` (0-based)."""
    width = x.shape[0]
    half = width // 2
    angles = np.zeros(width, dtype=np.float64)
    for i in range(half):
        angle = position * theta ** (-2.0 * i / width)
        angles[i] = angle
        angles[i + half] = angle
    return x * np.cos(angles) + rotate_half(x) * np.sin(angles)


def self_attention(
    params: Params, config: dict[str, Any], prefix: str, x: np.ndarray
) -> np.ndarray:
    """Grouped-query self-attention over all positions: no causal mask, no sliding window."""
    heads = int(config["num_attention_heads"])
    kv_heads = int(config["num_key_value_heads"])
    width = int(config.get("head_dim") or x.shape[1] // heads)
    theta = float(config["rope_theta"])
    group = heads // kv_heads
    length = x.shape[0]

    q_all = linear(x, get(params, f"{prefix}.q_proj.weight"))
    k_all = linear(x, get(params, f"{prefix}.k_proj.weight"))
    v_all = linear(x, get(params, f"{prefix}.v_proj.weight"))
    if q_all.shape[1] != heads * width or k_all.shape[1] != kv_heads * width:
        raise ValueError(f"{prefix}: projection sizes do not fit heads x head_dim")

    mixed = np.zeros((length, heads * width), dtype=np.float64)
    for head in range(heads):
        kv_head = head // group  # consecutive query heads share one key/value head
        kv = slice(kv_head * width, (kv_head + 1) * width)
        own = slice(head * width, (head + 1) * width)
        queries = np.stack([rotary(q_all[p, own], p, theta) for p in range(length)])
        keys = np.stack([rotary(k_all[p, kv], p, theta) for p in range(length)])
        values = v_all[:, kv]
        for p in range(length):
            weights = softmax(keys @ queries[p] * width**-0.5)
            mixed[p, own] = weights @ values
    return linear(mixed, get(params, f"{prefix}.o_proj.weight"))


def swiglu(params: Params, prefix: str, x: np.ndarray) -> np.ndarray:
    """Mistral MLP: ``down(silu(gate(x)) * up(x))``."""
    gate = linear(x, get(params, f"{prefix}.gate_proj.weight"))
    up = linear(x, get(params, f"{prefix}.up_proj.weight"))
    return linear(silu(gate) * up, get(params, f"{prefix}.down_proj.weight"))


def count_layers(params: Params) -> int:
    """Count the decoder layers present in `params`."""
    layers = 0
    while f"embedding_model.layers.{layers}.input_layernorm.weight" in params:
        layers += 1
    return layers


def mistral_hidden_states(
    params: Params, config: dict[str, Any], token_ids: list[int]
) -> np.ndarray:
    """Return the final-normed hidden states (length x hidden) of one unpadded text.

    Positions count from 0. Attention is bidirectional. All layers in `params` are run; where
    `config` has ``num_hidden_layers`` it must agree.
    """
    eps = float(config["rms_norm_eps"])
    layers = count_layers(params)
    if int(config.get("num_hidden_layers", layers)) != layers:
        raise ValueError("num_hidden_layers differs from the layers found in params")
    table = get(params, "embedding_model.embed_tokens.weight")
    states = np.stack([table[token] for token in token_ids])
    for layer in range(layers):
        prefix = f"embedding_model.layers.{layer}"
        normed = rms_norm(states, get(params, f"{prefix}.input_layernorm.weight"), eps)
        states = states + self_attention(params, config, f"{prefix}.self_attn", normed)
        normed = rms_norm(states, get(params, f"{prefix}.post_attention_layernorm.weight"), eps)
        states = states + swiglu(params, f"{prefix}.mlp", normed)
    return rms_norm(states, get(params, "embedding_model.norm.weight"), eps)


# --------------------------------------------------------------------------- latent attention


def cross_attention(
    params: Params, prefix: str, x: np.ndarray, context: np.ndarray, heads: int, head_width: int
) -> np.ndarray:
    """Multi-head attention of the rows of `x` over the rows of `context`, without biases.

    `to_kv` gives the keys of all heads first, then the values of all heads.
    """
    inner = heads * head_width
    q_all = linear(x, get(params, f"{prefix}.to_q.weight"))
    kv_all = linear(context, get(params, f"{prefix}.to_kv.weight"))
    if q_all.shape[1] != inner or kv_all.shape[1] != 2 * inner:
        raise ValueError(f"{prefix}: projection sizes do not fit heads x head_width")
    k_all, v_all = kv_all[:, :inner], kv_all[:, inner:]

    mixed = np.zeros((x.shape[0], inner), dtype=np.float64)
    for head in range(heads):
        own = slice(head * head_width, (head + 1) * head_width)
        for p in range(x.shape[0]):
            weights = softmax(k_all[:, own] @ q_all[p, own] * head_width**-0.5)
            mixed[p, own] = weights @ v_all[:, own]
    return linear(mixed, get(params, f"{prefix}.to_out.weight"))


def geglu_feed_forward(params: Params, prefix: str, x: np.ndarray) -> np.ndarray:
    """``net.2(values * gelu(gates))``; the first half of `net.0` is values, the second gates."""
    both = linear(x, get(params, f"{prefix}.net.0.weight"), get(params, f"{prefix}.net.0.bias"))
    inner = both.shape[1] // 2
    values, gates = both[:, :inner], both[:, inner:]
    return linear(
        values * gelu_exact(gates),
        get(params, f"{prefix}.net.2.weight"),
        get(params, f"{prefix}.net.2.bias"),
    )


def latent_attention(params: Params, states: np.ndarray, heads: int, head_width: int) -> np.ndarray:
    """Latent-attention block on `states` (length x hidden); the same shape comes back.

    Each position is treated alone (the keys and values are the latents), so no mask is needed.
    Both residuals add to the un-normed input of their block.
    """
    states = np.asarray(states, dtype=np.float64)
    block = f"{LATENT}.cross_attend_blocks.0"
    normed = layer_norm(
        states, get(params, f"{block}.norm.weight"), get(params, f"{block}.norm.bias")
    )
    context = layer_norm(
        get(params, f"{LATENT}.latents"),
        get(params, f"{block}.norm_context.weight"),
        get(params, f"{block}.norm_context.bias"),
    )
    attended = cross_attention(params, f"{block}.fn", normed, context, heads, head_width)
    states = states + attended

    block = f"{LATENT}.cross_attend_blocks.1"
    normed = layer_norm(
        states, get(params, f"{block}.norm.weight"), get(params, f"{block}.norm.bias")
    )
    return states + geglu_feed_forward(params, f"{block}.fn", normed)


# --------------------------------------------------------------------------- embedding


def embed(
    params: Params, config: dict[str, Any], token_ids: list[int], pooled: list[bool]
) -> np.ndarray:
    """Unit-norm embedding of one text.

    All tokens take part in the decoder; only the positions with ``pooled`` True are averaged.
    The latent block's heads are ``config['latent_heads']`` (default 8), its head width
    ``config['latent_head_width']`` (default: outputs of `to_q` / heads).
    """
    if len(pooled) != len(token_ids):
        raise ValueError("pooled and token_ids differ in length")
    if not any(pooled):
        raise ValueError("no position is pooled")
    to_q = params[f"{LATENT}.cross_attend_blocks.0.fn.to_q.weight"]
    heads = int(config.get("latent_heads", 8))
    head_width = int(config.get("latent_head_width") or to_q.shape[0] // heads)

    states = mistral_hidden_states(params, config, token_ids)
    states = latent_attention(params, states, heads, head_width)
    total = np.zeros(states.shape[1], dtype=np.float64)
    count = 0
    for position, keep in enumerate(pooled):
        if keep:
            total = total + states[position]
            count += 1
    mean = total / count
    return mean / max(float(np.sqrt(np.sum(mean**2))), L2_EPS)


def embed_all(
    params: Params,
    config: dict[str, Any],
    texts: list[list[int]],
    masks: list[list[bool]],
) -> np.ndarray:
    """Embed each text alone (texts x hidden): what a padded batch must reproduce."""
    rows = [embed(params, config, ids, mask) for ids, mask in zip(texts, masks, strict=True)]
    return np.stack(rows)


# --------------------------------------------------------------------------- ids and masks


def input_ids(
    body: list[int],
    mode: str,
    *,
    eos_id: int,
    max_length: int,
    bos_id: int | None,
    instruction_tokens: int = 0,
) -> list[int]:
    """Ids that go into the decoder, from the ids of ``instruction + text`` without specials.

    `bos_id` is None where the tokenizer does not prepend BOS. `max_length` counts everything.

    - ``released``: EOS is appended first, BOS prepended, and the whole cut on the right to
      `max_length`: ``([BOS] + body + [EOS])[:max_length]``. A text over the limit loses EOS.
    - ``strict``: the body is cut on the right so that BOS and EOS fit, then
      ``[BOS] + body[:max_length - 2] + [EOS]`` (``- 1`` without BOS). EOS is always last. An
      instruction that does not fit whole is a ValueError.
    """
    start = [] if bos_id is None else [bos_id]
    if mode == "released":
        return (start + list(body) + [eos_id])[:max_length]
    if mode == "strict":
        room = max_length - len(start) - 1
        if room < max(instruction_tokens, 0):
            raise ValueError("max_length leaves no room for the instruction and the specials")
        return start + list(body)[:room] + [eos_id]
    raise ValueError(f"unknown mode {mode!r}")


def pooling_mask(
    ids: list[int], instruction_tokens: int, mode: str, *, bos_id: int | None
) -> list[bool]:
    """Which positions of `ids` (the output of `input_ids`) are averaged.

    `instruction_tokens` is ``len(tokenizer.tokenize(instruction))``: the instruction alone,
    without BOS; 0 for an empty instruction.

    - ``released``: the first `instruction_tokens` POSITIONS are out, whatever stands there.
      With BOS in front these are BOS and all but the last instruction token, so the last
      instruction token is pooled. Without BOS it is exactly the instruction.
    - ``strict``, with an instruction: BOS (where `ids` starts with it) and all
      `instruction_tokens` tokens are out.
    - both, with no instruction: every position is pooled, BOS included.

    EOS, where present, is pooled in both modes. The mask concerns pooling only: the decoder
    attends to every position.
    """
    if mode == "released":
        masked = instruction_tokens
    elif mode == "strict":
        has_bos = bos_id is not None and len(ids) > 0 and ids[0] == bos_id
        masked = instruction_tokens + int(has_bos) if instruction_tokens > 0 else 0
    else:
        raise ValueError(f"unknown mode {mode!r}")
    return [position >= masked for position in range(len(ids))]
