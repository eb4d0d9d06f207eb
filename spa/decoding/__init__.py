"""The method: greedy SPA decoding of a set of weights at once.

In: a model, and prompts as pairs of token ids, with and without the anchored text. Out: for each prompt its texts, each
with the omegas that lead to it. Nothing here knows what a benchmark, a file or a config is.
"""
