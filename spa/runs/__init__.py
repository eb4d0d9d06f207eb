"""One cell, from its config to scored samples on disk.

In: a config. Out: a run's folder, finished as far as it could be, with a manifest that says what made it.
"""
