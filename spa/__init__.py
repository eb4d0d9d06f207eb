"""Selective Prompt Anchoring (arXiv 2408.09121), reproduced: configs, decoding, scoring, tables and figures.

For a model of your own: `spa.generate(model, tokenizer, prompts, omega)`.
"""

TYPE_CHECKING = False  # as in `typing`, which each solution's process would import through this file
__all__ = ["Method", "Text", "generate"]

if TYPE_CHECKING:
    from spa.api import Text, generate
    from spa.method import Method
else:

    def __getattr__(name: str) -> object:
        """Import the API at its first use: it brings torch, which the rest does without."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from spa import api

        return getattr(api, name)
