"""The method: the SPA formula, omega sets, stopping, and the batched two-branch engine. Nothing about files."""
