"""A small random NV-Embed checkpoint with a byte-level tokenizer that puts BOS in front."""

import torch
import transformers
from small_llama import trained
from tokenizers import processors

from drehr_rag.encoders._nv_embed import LatentConfig, NvEmbedModel, save

LATENT = LatentConfig(
    num_latents_value=6, num_cross_heads=2, cross_dim_head=8, latent_dim=32, hidden_dim=32, mult=2
)


def tokenizer(*, bos=True):
    """Byte-level BPE with the words of the tests merged."""
    words = ["Instruct: Given the medical entity heart failure gout"] * 9
    made = trained(words, size=400, special=["<s>", "</s>", "<unk>"])
    if bos:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def mistral():
    return transformers.MistralConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=4096,
        sliding_window=16,
        initializer_range=0.4,
    )


def build(seed=0):
    """A model whose every parameter is random, norms and biases included."""
    torch.manual_seed(seed)
    model = NvEmbedModel(mistral(), LATENT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def checkpoint(folder, *, shards=1, seed=0, bos=True):
    save(build(seed), folder, shards=shards)
    tokenizer(bos=bos).save_pretrained(folder)
    return folder
