"""Runs on disk -> numbers: rates, curves over omega, readings, verdicts on the paper's claims.

In: results folders. Out: tables of numbers and verdicts. Nothing here draws or writes.
"""
