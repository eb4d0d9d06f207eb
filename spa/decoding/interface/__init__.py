"""What a user of the library sees: finished texts, a text as it comes, a processor for transformers' `generate`."""
