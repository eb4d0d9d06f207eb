"""Selective Prompt Anchoring (arXiv 2408.09121), reproduced: configs, decoding, scoring, tables and figures."""
