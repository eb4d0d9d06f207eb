"""What a user of the library hands over, looked at before anything asks more of it: a wrong type is one line."""

from collections.abc import Collection, Mapping
from numbers import Integral
from typing import Any

from spa.errors import SpaError
from spa.omega import OmegaSet, parse, parse_strength


def omegas(omega: Any, strength: Any) -> OmegaSet:
    """The set that one of the two names. Raises SpaError for both, and for none."""
    if (omega is None) == (strength is None):
        raise SpaError("give the weight either as omega=..., where 0 is plain, or as strength=..., where 1 is plain")
    return parse(omega) if strength is None else parse_strength(strength)


def check_model(model: Any) -> None:
    """Raises SpaError for what is no model of transformers."""
    if not (callable(model) and hasattr(getattr(model, "config", None), "get_text_config")):
        raise SpaError(f"model is a {type(model).__name__}; give a transformers model, such as spa.load_model(NAME)[0]")


def check_tokenizer(tokenizer: Any) -> None:
    """Raises SpaError for what is no tokenizer of transformers."""
    if not hasattr(tokenizer, "is_fast"):
        raise SpaError(f"tokenizer is a {type(tokenizer).__name__}; give AutoTokenizer.from_pretrained(...)")


def check_prompts(prompts: Any, anchors: Any) -> None:
    """Raises SpaError unless each prompt is text, or a list of messages, and has a list of strings as its anchors."""
    if items(prompts, object) is None:
        raise SpaError(f"prompts is a {type(prompts).__name__}; give a list of prompts, each a string or messages")
    for number, prompt in enumerate(prompts):
        if not isinstance(prompt, str) and items(prompt, Mapping) is None:
            raise SpaError(f"prompts[{number}] is a {type(prompt).__name__}; give a string or a list of messages")
    listed = ((),) * len(prompts) if anchors is None else items(anchors, object)
    if listed is None or len(listed) != len(prompts) or any(items(strings, str) is None for strings in listed):
        raise SpaError(f"anchors must hold a list of strings for each of the {len(prompts)} prompts")


def check_count(name: str, value: Any) -> None:
    """Raises SpaError for what is no whole number from 1."""
    if not isinstance(value, Integral) or value < 1:
        raise SpaError(f"{name}={value} must be at least 1, and a whole number")


def token_ids(ids: Any) -> tuple[int, ...]:
    """One id, or several. Raises SpaError for anything else."""
    found = (ids,) if isinstance(ids, Integral) else items(ids, Integral)
    if found is None:
        raise SpaError(f"eos_token_ids={ids} must be token ids")
    return tuple(map(int, found))


def items(value: Any, kind: type) -> tuple[Any, ...] | None:
    """What a list, or another collection of things of one kind, holds; None for anything else."""
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        return None
    return tuple(value) if all(isinstance(item, kind) for item in value) else None
