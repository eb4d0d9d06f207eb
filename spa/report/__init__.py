"""What readers see: tables, figures, one HTML page, Parquet files.

In: the numbers of `analysis`. Out: files, the same bytes for the same results.
"""
