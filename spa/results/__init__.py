"""What lies on disk: the one owner of file names, formats and locks in a results folder.

In: records. Out: the same records, read back whole or not at all. Nothing here knows what the numbers mean.
"""
