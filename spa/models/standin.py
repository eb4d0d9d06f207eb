"""Tiny random models of the paper's architectures, and a byte-level tokenizer: what runs where no checkpoint is.

Their texts are noise that differs with the prompt. `standin=tiny` puts them in the place of the models of a preset.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import CodeGenConfig, CodeGenForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from spa.config import Cell
from spa.errors import SpaError
from spa.schema import ModelConfig

VERSION = 2  # raised with any change to what `checkpoint` writes
# Several, so that random texts end at different steps.
EOS = (34, 66, 91, 37)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def replaced(cell: Cell) -> Cell:
    """The same cell on the stand-in of its model, which is made where it is missing."""
    model = cell.model
    if model.shape.architecture is None:
        raise SpaError(f"{model.name} has no shape to imitate; run it without standin")
    facts = [VERSION, transformers.__version__, asdict(model.shape), model.kind, model.mask_token]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spa" / "standins"
    folder = cache / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _make(folder, model)
    here = replace(
        model,
        name=f"{model.name.removesuffix(' (stand-in)')} (stand-in)",
        path=str(folder),
        package=None,
        gguf_file=None,
        parts=[],
        weights=None,
        eos_token_ids=list(EOS),
        device_map=None,
    )
    return replace(cell, model=here)


def _make(folder: Path, config: ModelConfig) -> None:
    """Written aside, then renamed: another process may make it too."""
    assert config.shape.architecture
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    special = [config.mask_token] if config.mask_token and len(config.mask_token) > 1 else []
    seed = int(folder.name, 16) % 2**32  # so that models of one architecture write different texts
    checkpoint(aside, config.shape.architecture, chat=config.kind == "chat", special=special, seed=seed)
    try:
        aside.rename(folder)
    except OSError:
        shutil.rmtree(aside)
        if not folder.exists():
            raise


def checkpoint(
    folder: Path, architecture: str, chat: bool, positions: int = 4096, special: Sequence[str] = (), seed: int = 0
) -> Path:
    """A saved tiny model with its tokenizer, as `model=hf model.path=...` takes it."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    text = tokenizer(bos=not chat, chat=chat, special=special)
    model(architecture, vocabulary=len(text), positions=positions, seed=seed).save_pretrained(folder)
    text.save_pretrained(folder)
    return folder


def model(architecture: str, vocabulary: int, positions: int = 512, seed: int = 0) -> Any:
    """A random causal language model in float32 whose greedy texts vary with the prompt."""
    tokens: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if architecture == "llama":
            network: Any = LlamaForCausalLM(
                LlamaConfig(  # type: ignore[call-arg]
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
            )
        else:
            network = CodeGenForCausalLM(
                CodeGenConfig(  # type: ignore[call-arg]
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
            )
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # as initialised, every prompt leads to the same text
    return network.eval()


def tokenizer(bos: bool = False, chat: bool = False, special: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Every byte a token, and the special tokens <s>, </s>, <unk>, <pad> and others; `bos`: one begins every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    names = dict.fromkeys(["<s>", "</s>", "<unk>", "<pad>", *special])
    core.add_special_tokens([AddedToken(token, special=True) for token in names])
    if bos:
        core.post_processor = TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE if chat else None,
    )
