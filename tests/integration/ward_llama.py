"""A tiny Llama that has learnt some of the ward's prompts by heart, with the right replies."""

import json

import torch
from small_llama import chatting, small_llama, trained

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
    texts = [(f"user: {prompt}\nassistant: ", compact(reply)) for prompt, reply in asked.items()]
    parts = (part for text in texts for part in text)
    tokenizer = chatting(trained(parts, size=VOCABULARY))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = small_llama(len(tokenizer), length=4096, tie_word_embeddings=True)
    _train(model, [_example(tokenizer, *text) for text in texts])
    model.save_pretrained(folder)


def compact(reply):
    """JSON as the server's grammar writes it."""
    return json.dumps(reply, separators=(",", ":"), ensure_ascii=False)


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
