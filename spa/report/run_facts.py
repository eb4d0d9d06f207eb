"""The facts of a run: what produced its texts and verdicts, and how much of it is there. Without times."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spa.analysis.aggregate import JudgedRun, progress
from spa.analysis.formats import benchmark_name
from spa.omega import omega_set_text


@dataclass(frozen=True)
class RunFacts:
    """Each fact under its name; "none" where there is nothing to say."""

    key: str
    title: str
    facts: Mapping[str, str]


def run_facts(run: JudgedRun) -> RunFacts:
    """From the run's manifest and lines."""
    manifest, done = run.manifest, progress(run)
    scoring, data, git = manifest.scoring, asdict(manifest.data), manifest.git
    benchmark, omega = benchmark_name(manifest.benchmark), omega_set_text(manifest.omega)
    facts = {
        "Run": run.key,
        "Experiment": manifest.experiment,
        "Model": manifest.model,
        "Revision": _flat(manifest.identity.get("model")),
        "Weights": manifest.weights or "as published",
        "dtype, quantization": f"{manifest.dtype}, {manifest.quantization}",
        "Benchmark": benchmark,
        "Data": ", ".join(f"{name} {data[name]}" for name in ["source", "md5"] if data.get(name)),
        "Profile, template": f"{manifest.profile}, {manifest.template}",
        "Extractions": _flat(run.run.extractions(), ", "),
        "Anchor, mask, method": f"{manifest.anchor}, {manifest.mask}, {manifest.method}",
        "Omega": omega,
        "Tasks": f"{manifest.n_tasks} ({manifest.n_anchored} with the anchor)",
        "Done": f"{done.done} of {done.total}, {done.scored} of {done.lines} lines scored",
        "Sandbox": (scoring and scoring.sandbox) or "",
        "Not plain data": str(done.not_plain),
        "Plus tests": "yes" if scoring and scoring.plus else "no",
        "Corrections": _flat(scoring.corrections if scoring else None),
        "Scorer": scoring.scorer_id if scoring else "",
        "Warnings": _flat(manifest.warnings),
        "Command": _flat(manifest.command, " "),
        "Versions": _flat(manifest.versions),
        "Code": git.commit + (" with uncommitted changes" if git.dirty else "") if git else "",
        "Kernels": _flat({name: used for name in ("attention", "linear") if (used := getattr(manifest, name))}),
        "Hardware": _flat(manifest.hardware),
    }
    names = [manifest.model, benchmark, f"{manifest.anchor} ({manifest.mask})", f"ω = {omega}"]
    return RunFacts(run.key, ", ".join(names), {name: value or "none" for name, value in facts.items()})


def _flat(value: Any, between: str = "; ") -> str:
    """A manifest's text, list or mapping as one line."""
    if isinstance(value, dict):
        return between.join(f"{name} {_flat(value[name], ', ')}" for name in value)
    if isinstance(value, list):
        return between.join(_flat(item, ", ") for item in value)
    return re.sub(r"\s+", " ", str(value)) if value is not None else ""
