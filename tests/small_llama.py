"""What the tests' Llamas are made of: a byte-level tokenizer with a chat template, small layers."""

TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

SPECIAL = ["<s>", "</s>"]


def byte_level(model=None):
    """A tokenizer of bytes; without a model, one that is yet to be trained."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(model or models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def trained(texts, *, size, special=SPECIAL):
    """A tokenizer of bytes that has merged what stands in the texts, up to so many pieces."""
    from tokenizers import pre_tokenizers, trainers

    tokenizer = byte_level()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def chatting(tokenizer):
    """As transformers and vLLM read it, with the template."""
    from transformers import PreTrainedTokenizerFast

    start, end = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, chat_template=TEMPLATE
    )


def small_llama(vocabulary, *, length, **more):
    """Two layers of random weights, 1.3 million parameters beside those of a large vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=length,
        bos_token_id=0,
        eos_token_id=1,
        **more,
    )
    return LlamaForCausalLM(config)
