"""A tiny random network of every model type in transformers' mapping of causal language models."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedConfig

from spa.models import standin

TOKENIZER = standin.tokenizer()  # a token for every byte
VOCABULARY = len(TOKENIZER)
MOST_WEIGHTS = 20_000_000

# What is set where a config has it; a nested config of text or images gets the same.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "embedding_size", "word_embed_proj_dim", "dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "decoder_ffn_dim", "n_inner", "dff", "ffn_hidden_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk"), 2),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 512),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"), 1),
    "v_head_dim": 12,
    "rotary_dim": 4,
    "vocab_size": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "local_attention"), 16),
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "is_decoder": True,  # of the descendants of BERT
}
LATENT = ("axk1", "deepseek_v2", "deepseek_v3", "glm4_moe_lite", "longcat_flash", "minicpm3", "youtu")
# What else a model type needs to be so small.
ALSO: dict[str, dict[str, Any]] = {
    **{key: {"num_key_value_heads": 4} for key in LATENT},
    **{key: {"mamba_n_heads": 4, "mamba_d_head": 16} for key in ("bamba", "granitemoehybrid")},
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("full_attention", "sliding_attention")
        }
    },
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.0] * 4,
        "laurel_rank": 8,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 16},
    "llama4_text": {"floor_scale": 16, "attn_temperature_tuning": True, "no_rope_layers": [1, 0, 1, 0]},
    "moshi": {"sliding_window": 512},  # within it: its cache would drop what its mask still shows
    "phi3": {
        "original_max_position_embeddings": 40,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 40,
            "short_factor": [1.0] * 4,
            "long_factor": [2.0, 3.0, 4.0, 5.0],
        },
    },
}
VARIANTS: dict[str, dict[str, Any]] = {  # beside each type as it is built
    "falcon, alibi": {"alibi": True},
    "mistral, window 40": {"sliding_window": 40},
    "gemma3_text, window 40": {"sliding_window": 40},
    "gemma4_text, shared": {"num_kv_shared_layers": 2},
    "llama, yarn": {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0}},
    "deepseek_v2, no q_lora": {"q_lora_rank": None},
}


def model_types() -> dict[str, type[Any]]:
    """The config class of each model type that transformers has a causal language model for."""
    configs = set(MODEL_FOR_CAUSAL_LM_MAPPING.keys())
    return {name: config for name, config in CONFIG_MAPPING.items() if config in configs}


def tiny_config(name: str, changes: Mapping[str, Any] = {}) -> Any:
    """A small config of a model type."""
    config_class = CONFIG_MAPPING[name]
    settings = _fitting(config_class(), ALSO.get(name, {}) | dict(changes))
    return config_class(**settings)


def _fitting(config: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in SIZES.items() if _may_be_set(config, key)} | dict(changes)
    for part, nested in vars(config).items():
        if isinstance(nested, PreTrainedConfig):
            settings[part] = type(nested)(**_fitting(nested, ALSO.get(nested.model_type, {}))).to_dict()
    return settings


def _may_be_set(config: Any, key: str) -> bool:
    """Whether a config has the value, and one for all layers."""
    try:
        return hasattr(config, key) and not isinstance(getattr(type(config), key, None), property)
    except Exception:  # transformers has one of its own for this, which is no AttributeError
        return False


def build(name: str, seed: int, scale: float, changes: Mapping[str, Any] = {}) -> Any:
    """A random model of the type, with SDPA where it has that."""
    config = tiny_config(name, changes)
    architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if architecture.config_class is not type(config):
        config = config.get_text_config(decoder=True)
    config._attn_implementation = "sdpa" if architecture._supports_sdpa else "eager"
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in architecture(config).parameters())
    if weights > MOST_WEIGHTS:
        raise ValueError(f"{weights:,} weights where {MOST_WEIGHTS:,} should do")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = architecture(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.float().eval()
