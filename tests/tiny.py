"""Tiny random models of the paper's architectures, and a byte-level tokenizer for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import CodeGenConfig, CodeGenForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

ARCHITECTURES = ("llama", "codegen")
VOCABULARY = 97
# Several EOS tokens, so that random texts end at different steps.
EOS = (34, 66, 91, 37)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def model(architecture: str, vocabulary: int = VOCABULARY, positions: int = 512, seed: int = 0) -> Any:
    """A random causal language model in float32 whose greedy texts vary with the prompt."""
    torch.manual_seed(seed)
    tokens = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if architecture == "llama":
        config: Any = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=positions,
            attn_implementation="sdpa",
            **tokens,
        )
        network: Any = LlamaForCausalLM(config)
    else:
        config = CodeGenConfig(
            vocab_size=vocabulary,
            n_embd=32,
            n_layer=3,
            n_head=4,
            rotary_dim=4,
            n_positions=positions,
            n_ctx=positions,
            attn_implementation="eager",
            **tokens,
        )
        network = CodeGenForCausalLM(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # as initialised, every prompt leads to the same text
    return network.eval()


def detokenize(ids: Sequence[int]) -> str:
    """Letters for tokens: a text with newlines, blanks and fences for the stop rules to find."""
    special = {0: "\n", 1: " ", 2: "```", 3: "\n    "}
    return "".join(special.get(token, chr(ord("a") + token % 26)) for token in ids)


def tokenizer(bos: bool = False, chat: bool = False) -> PreTrainedTokenizerFast:
    """Every byte a token, and the special tokens <s>, </s>, <unk>, <pad>; `bos`: one is added to every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>", "<unk>", "<pad>")])
    if bos:
        from tokenizers.processors import TemplateProcessing

        core.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE if chat else None,
    )


def checkpoint(folder: Path, architecture: str, chat: bool, positions: int = 4096) -> Path:
    """A saved tiny model with its tokenizer, as `model=hf model.path=...` takes it."""
    logging.disable_progress_bar()
    text = tokenizer(bos=not chat, chat=chat)
    model(architecture, vocabulary=len(text), positions=positions).save_pretrained(folder)
    text.save_pretrained(folder)
    return folder


def record_shapes(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Rows and columns of each forward pass from now on."""
    shapes: list[tuple[int, ...]] = []
    forward = model.forward

    def recording(*args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", recording)
    return shapes
