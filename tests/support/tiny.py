"""The tiny random models of `spa.models.standin`, at a vocabulary of their own, and what tests look at them with."""

from collections.abc import Sequence
from typing import Any

import pytest

from spa.models import standin
from spa.models.standin import CHAT_TEMPLATE, EOS, checkpoint, tokenizer

__all__ = ["ARCHITECTURES", "CHAT_TEMPLATE", "EOS", "VOCABULARY", "checkpoint", "detokenize", "model", "tokenizer"]

ARCHITECTURES = ("llama", "codegen")
VOCABULARY = 97


def model(architecture: str, vocabulary: int = VOCABULARY, positions: int = 512, seed: int = 0) -> Any:
    """A random causal language model in float32 whose greedy texts vary with the prompt."""
    return standin.model(architecture, vocabulary, positions, seed)


def detokenize(ids: Sequence[int]) -> str:
    """Letters for tokens: a text with newlines, blanks and fences for the stop rules to find."""
    special = {0: "\n", 1: " ", 2: "```", 3: "\n    "}
    return "".join(special.get(token, chr(ord("a") + token % 26)) for token in ids)


def record_shapes(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Rows and columns of each forward pass from now on."""
    shapes: list[tuple[int, ...]] = []
    forward = model.forward

    def recording(*args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", recording)
    return shapes
