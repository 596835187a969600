"""Parts of a transformers model: what is frozen, what gets adapters. Import needs torch."""

from typing import Any

from torch import nn

from drehr_rag._extras import require
from drehr_rag.errors import TrainingError
from drehr_rag.training.settings import Lora


def freeze(model: Any, layers: int) -> None:
    """Take the embeddings and the lowest layers out of the training.

    Args:
        model: A transformers model.
        layers: How many layers; 0 freezes the embeddings alone.

    Raises:
        TrainingError: It has no such layers, or fewer.
    """
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
    stack = max(stacks, key=len, default=None)
    embeddings = getattr(model, "embeddings", None) or model.get_input_embeddings()
    if layers and (stack is None or len(stack) <= layers):
        there = 0 if stack is None else len(stack)
        raise TrainingError(
            f"freeze is {layers} layers, and {type(model).__name__} has {there}: at least one must "
            "be left to train"
        )
    for part in (embeddings, *(list(stack or ())[:layers])):
        part.requires_grad_(False)


def set_dropout(model: nn.Module, share: float) -> None:
    """Let every layer drop this share of its activations, attention's too.

    Raises:
        TrainingError: It drops nowhere, and is told to.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    if share and not layers:
        raise TrainingError(
            f"dropout is {share:g}, and {type(model).__name__} has no layer that drops: leave it "
            "out"
        )
    for layer in layers:
        layer.p = share


def with_adapters(model: Any, lora: Lora) -> Any:
    """The model with adapters, and nothing else to train.

    Raises:
        TrainingError: It has no layers of these names.
        MissingExtra: peft is not installed.
    """
    peft = require("peft", extra="train")
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.layers),
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError:
        names = {name.rpartition(".")[2] for name, m in model.named_modules() if _linear(m)}
        raise TrainingError(
            f"{type(model).__name__} has no layers called {', '.join(lora.layers)} for adapters: "
            f"its linear layers are {', '.join(sorted(names))}"
        ) from None


def scale_adapters(model: nn.Module, share: float) -> None:
    """What the adapters add, times `share`."""
    for module in model.modules():
        scales = getattr(module, "scaling", None)
        if isinstance(scales, dict) and hasattr(module, "lora_A"):
            scales.update({name: scale * share for name, scale in scales.items()})


def checkpoint(model: Any) -> None:
    """Let layers be computed again on the way back; what transformers calls it changed in 5.x."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is not None:
        enable(activation_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
