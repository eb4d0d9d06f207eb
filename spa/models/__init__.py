"""Checkpoints: where their weights are, how they are loaded, and what they attend to.

In: a model's config. Out: a model and a tokenizer that are ready to decode, and the identity of both for the key.
"""
