"""Problems as prompts, and texts as programs.

In: a benchmark's data and a model's text. Out: prompt pairs of token ids, and self-contained programs.
"""
