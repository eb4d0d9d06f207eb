"""Texts that other runs hold already: a value inside an interval, a grid inside a grid, omega 0 of any anchor and mask.

What a text depends on stands in the run's identity and in the line itself, which keeps both prompts' token ids. So a
line answers for this run where the two identities agree in everything that the line does not tell, and the prompts are
the same; at omega 0 the original prompt alone.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spa import omega
from spa.errors import SpaError
from spa.omega import Interval, OmegaSet
from spa.records import Generation, PromptPair
from spa.results.manifest import Manifest
from spa.results.store import Results, Run
from spa.runs.generate import program_of, stop_rule
from spa.runs.prepare import Prepared, Todo

log = logging.getLogger(__name__)

# Fields of the identity that each line tells for itself (a text tells whether another stop rule would have ended it
# elsewhere), the budget, which decides what is given up and no text, and the method, which is asked for by itself.
TOLD_BY_LINES = ("omega", "anchor", "mask", "prompts", "budget", "stop_rule", "method")


@dataclass
class Found:
    """Copies of other runs' lines, and the runs that they are from."""

    samples: list[Generation] = field(default_factory=list)
    sources: list[Run] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The runs as manifests name them: `<results folder>/runs/<key>`, wherever these folders lie."""
        return ["/".join(run.folder.parts[-3:]) for run in self.sources]


def look_up(prepared: Prepared, wanted: Todo, pairs: Mapping[str, PromptPair]) -> Found:
    """What finished lines of this results folder and of those beside it hold of the wanted omegas, by task."""
    left, found = dict(wanted), Found()
    for run, manifest in _candidates(prepared):
        end = manifest.omegas.hi
        hides = manifest.mask == "attention"
        same_method = manifest.identity.get("method") == prepared.identity.get("method")
        copies: dict[str, list[Generation]] = {}
        for sample in run.iter_samples(Generation):
            pair = pairs.get(sample.task_id)
            if pair and sample.finish_reason != "budget":
                parts = [part for whole in left[sample.task_id] for part in _held(sample, whole, end, prepared.dtype)]
                same = same_method and _prompts_agree(sample, pair, hides)
                parts = [part for part in parts if same or (part == (0, 0) and _prompt_agrees(sample, pair))]
                if parts and (kept := _under_own_rule(prepared, sample, manifest)):
                    copies.setdefault(sample.task_id, []).extend(_copy(kept, pair, lo, hi) for lo, hi in parts)
        for task_id, samples in copies.items():
            done = [(sample.omega_lo, sample.omega_hi) for sample in samples]
            left[task_id] = [rest for part in left[task_id] for rest in omega.remaining(part, done)]
            found.samples += samples
        if any(copies.values()):
            found.sources.append(run)
    return found


def answers(sample: Generation, value: float, end: float, dtype: str) -> bool:
    """Whether a line of a run whose omegas end at `end` is what a run at this value alone would decode.

    Strictly inside a part of an interval no two tokens tie, so it is. At a part's ends tokens may tie, and there a run
    at one value takes the lowest id, an interval the line that wins to the right (`decoding.formula`), but for a part
    that begins at 0, which is plain decoding's. In float32 a value meets any other end by design only, at an end of
    the whole interval, where a tie would be a coincidence. 16-bit logits are so coarse that they often tie at round
    values: there the other ends answer nothing.
    """
    lo, hi = sample.omega_lo, sample.omega_hi
    if lo == hi or value == lo == 0:
        return value == lo
    return lo < value < hi or (dtype == "float32" and (value == lo or value == hi == end))


def _under_own_rule(prepared: Prepared, sample: Generation, manifest: Manifest) -> Generation | None:
    """The line as this run's stop rule leaves it; None where that would have ended the text elsewhere."""
    if manifest.identity.get("stop_rule") == prepared.identity.get("stop_rule"):
        return sample
    problem = next(problem for problem in prepared.problems if problem.task_id == sample.task_id)
    _, cut = stop_rule(prepared.cell.profile, prepared.cell.model.kind, problem).feed(sample.raw)
    ended = sample.raw if cut is None else sample.raw[:cut]
    if ended != sample.completion or (cut is None) == (sample.finish_reason == "stop"):
        return None
    return replace(sample, solution=program_of(prepared.cell, problem, prepared.template.response + ended))


def _held(sample: Generation, wanted: OmegaSet, end: float, dtype: str) -> list[tuple[float, float]]:
    """The part of the wanted omegas that a line answers for, as the bounds of its copies."""
    if isinstance(wanted, Interval):
        lo, hi = max(wanted.lo, sample.omega_lo), min(wanted.hi, sample.omega_hi)
        return [(lo, hi)] if lo < hi else []
    return [(value, value) for value in wanted.values if answers(sample, value, end, dtype)]


def _prompt_agrees(sample: Generation, pair: PromptPair) -> bool:
    return sample.prompt_text == pair.prompt_text and tuple(sample.original_ids) == pair.original_ids


def _prompts_agree(sample: Generation, pair: PromptPair, hides: bool) -> bool:
    """hides: the line's run used mask=attention."""
    hidden = tuple(sample.masked_positions) if hides else ()
    return _prompt_agrees(sample, pair) and (tuple(sample.masked_ids), hidden) == (pair.masked_ids, pair.hidden)


def _copy(sample: Generation, pair: PromptPair, lo: float, hi: float) -> Generation:
    """The line as this run would have written it. It took no time here."""
    return replace(
        sample,
        omega_lo=lo,
        omega_hi=hi,
        masked_ids=list(pair.masked_ids),
        masked_positions=list(pair.masked_positions),
        anchor_spans=list(pair.anchor_spans),
        missing_tokens=pair.missing_tokens,
        seconds=0.0,
    )


def _candidates(prepared: Prepared) -> Iterator[tuple[Run, Manifest]]:
    """Other runs whose lines may answer, those of the same results folder first."""
    own = prepared.cell.results_dir.resolve()
    beside = sorted(path.parent for path in own.parent.glob("*/runs"))
    for folder in dict.fromkeys([own, *beside]):
        for run, manifest in _manifests(Results(folder)):
            if run.folder != prepared.run.folder.resolve() and (
                _untold(manifest.identity) == _untold(prepared.identity)
            ):
                yield run, manifest


def _manifests(results: Results) -> Iterator[tuple[Run, Manifest]]:
    """Runs with their manifests; a folder or file that cannot be read is named and passed over."""
    try:
        runs = results.runs()
    except OSError as error:
        log.warning("not looked into: %s", error)
        return
    for run in runs:
        try:
            yield run, run.manifest()
        except (SpaError, OSError) as error:
            log.warning("not looked into: %s", error)


def _untold(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name not in TOLD_BY_LINES}
