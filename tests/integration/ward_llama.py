"""A tiny Llama that has learnt some of the ward's prompts by heart, with the right replies."""

import json

import torch
from vllm_server import TEMPLATE

VOCABULARY = 2048
"""Pieces of words: a prompt of the ward is under 1,000 of them."""

ROUNDS, RATE, LEARNT = 60, 1e-3, 0.05
"""At most so many rounds of AdamW; stops when no token of a reply costs more than LEARNT nats."""

WARM_UP = 30
"""Steps until the rate is whole; it then falls in a line, without which it goes up and down."""

IGNORED = -100


def overfitted(folder, asked):
    """Train on prompt → reply until each is known; save model and tokenizer in the folder.

    Args:
        folder: Where they go.
        asked: Prompts with the JSON objects that are to be replied.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = [(f"user: {prompt}\nassistant: ", compact(reply)) for prompt, reply in asked.items()]
    tokenizer = _tokenizer(texts)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    _train(model, [_example(tokenizer, *text) for text in texts])
    model.save_pretrained(folder)


def compact(reply):
    """JSON as the server's grammar writes it."""
    return json.dumps(reply, separators=(",", ":"), ensure_ascii=False)


def _tokenizer(texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for text in texts for part in text), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE
    )


def _example(tokenizer, prompt, reply):
    """Tokens, and those of them that are learnt: the reply and the end."""
    before = tokenizer(prompt, add_special_tokens=False).input_ids
    learnt = [*tokenizer(reply, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    return [*before, *learnt], [IGNORED] * len(before) + learnt


def _train(model, examples):
    """One example a step, in turn, until a whole round has nothing left to learn."""
    steps = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    last = ROUNDS * len(examples)
    rate = torch.optim.lr_scheduler.LambdaLR(
        steps, lambda step: min(1, (step + 1) / WARM_UP) * max(0.02, 1 - step / last)
    )
    tensors = [tuple(torch.tensor([row]) for row in example) for example in examples]
    for _ in range(ROUNDS):
        worst = max(_step(model, steps, rate, *example) for example in tensors)
        if worst < LEARNT:
            return
    raise AssertionError(f"not learnt by heart in {ROUNDS} rounds: {worst:.2f} nats are left")


def _step(model, steps, rate, tokens, labels):
    """What the worst token of the reply cost before it."""
    logits = model(input_ids=tokens).logits[0, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits, labels[0, 1:], ignore_index=IGNORED, reduction="none"
    )
    (losses.sum() / (labels != IGNORED).sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    steps.step()
    rate.step()
    steps.zero_grad()
    return float(losses.detach().max())
