"""The project's own measurements, and the documents that are made from them and from results.

In: the library. Out: JSON under results/bench, README.md and docs/.
"""
