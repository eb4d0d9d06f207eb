"""Stored samples, decoded again by transformers alone: the token ids in a results folder make its texts checkable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spa import models
from spa.config import ModelConfig
from spa.errors import SpaError
from spa.records import Generation
from spa.store import Results


@dataclass(frozen=True)
class Replayed:
    """One sample and whether the reference chose the same tokens."""

    sample: Generation
    key: str
    same: int  # tokens from the beginning that agree
    agrees: bool


def replay(results: Results, n_tasks: int) -> Iterator[Replayed]:
    """Decode the samples of each run's first tasks at every omega, one at a time, in the run's own dtype.

    Raises SpaError for an empty folder. Parts of intervals are decoded at their middle.
    """
    if not results.runs():
        raise SpaError(f"{results.folder} holds no run; run a cell first (python scripts/run.py)")
    for run in results.runs():
        manifest, samples = run.manifest(), run.samples()
        config = ModelConfig(**manifest["config"]["model"])
        checkpoint = models.identify(config)
        if checkpoint.identity != manifest["identity"]["model"]:
            raise SpaError(f"{run.folder} was made with {manifest['identity']['model']}, here is {checkpoint.identity}")
        tokenizer = models.load_tokenizer(checkpoint)
        loaded = models.load(checkpoint, config, tokenizer, manifest["dtype"], manifest["quantization"])
        tasks = list(dict.fromkeys(sample.task_id for sample in samples))[:n_tasks]
        for sample in samples:
            if sample.task_id in tasks:
                hidden = sample.masked_positions if manifest["mask"] == "attention" else []
                yield compare(loaded, sample, run.key, hidden)


def compare(loaded: models.LoadedModel, sample: Generation, key: str, hidden: Sequence[int]) -> Replayed:
    """Decode as many tokens as the sample has, and one more where it ended with an EOS.

    hidden: positions that the masked branch does not attend to. transformers' guidance cannot hide them, so there each
    token is checked against the choice that forward passes without a cache make in its place.
    """
    omega = (sample.omega_lo + sample.omega_hi) / 2
    expected = sample.completion_ids
    at_end = sample.finish_reason == "eos"
    count = len(expected) + at_end
    if hidden and omega != 0:
        tokens = models.attention_reference(loaded, sample.original_ids, hidden, omega, expected)[:count]
    else:
        tokens = models.reference(loaded, sample.original_ids, sample.masked_ids, omega, count)
    same = next((i for i, (a, b) in enumerate(zip(tokens, expected, strict=False)) if a != b), len(expected))
    ended = len(tokens) == count and (not at_end or tokens[-1] in loaded.eos_ids)
    return Replayed(sample, key, same, agrees=same == len(expected) and ended)
