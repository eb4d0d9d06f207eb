"""Untrusted programs and what they are worth.

In: solutions and a benchmark. Out: a verdict on each, made in a sandbox; `inside` holds all that runs in there.
"""
