"""Selective Prompt Anchoring (arXiv 2408.09121), reproduced: configs, decoding, scoring, tables and figures.

For a model of your own: `spa.generate(model, tokenizer, prompts, omega)`; `spa.stream` gives a single text as it comes,
and `spa.SPALogitsProcessor` works within transformers' `generate`. `spa.load_model("smollm2_135m")` gives a model and
its tokenizer without a hub, `spa.load_results("results/quickstart")` the table of a results folder.
"""

TYPE_CHECKING = False  # as in `typing`, which each solution's process would import through this file
__all__ = ["Method", "SPALogitsProcessor", "Text", "Texts", "generate", "load_model", "load_results", "stream"]

if TYPE_CHECKING:
    from spa.analysis.aggregate import load_results
    from spa.api import generate, load_model, stream
    from spa.decoding.interface.processor import SPALogitsProcessor
    from spa.decoding.interface.texts import Text, Texts
    from spa.method import Method
else:

    def __getattr__(name: str) -> object:
        """Import a name at its first use: some bring torch, which the rest does without."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        homes = {
            "Method": "method",
            "SPALogitsProcessor": "decoding.interface.processor",
            "Text": "decoding.interface.texts",
            "Texts": "decoding.interface.texts",
            "load_results": "analysis.aggregate",
        }
        return getattr(import_module(f"spa.{homes.get(name, 'api')}"), name)
