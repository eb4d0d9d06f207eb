"""The facts of a run: what produced its texts and verdicts, and how much of it is there. Without times."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spa.analysis.aggregate import Cell, progress
from spa.analysis.formats import benchmark_name
from spa.omega import omega_set_text


@dataclass(frozen=True)
class RunFacts:
    """Each fact under its name; "none" where there is nothing to say."""

    key: str
    title: str
    facts: Mapping[str, str]


def run_facts(cell: Cell) -> RunFacts:
    """From the run's manifest and lines."""
    manifest, done = cell.manifest, progress(cell)
    scoring = manifest.get("scoring") or {}
    data = manifest.get("data") or {}
    git = manifest.get("git") or {}
    benchmark, omega = benchmark_name(cell.field("benchmark")), omega_set_text(cell.field("omega"))
    facts = {
        "Run": cell.run.key,
        "Experiment": cell.experiment,
        "Model": cell.field("model"),
        "Revision": _flat((manifest.get("identity") or {}).get("model")),
        "Weights": manifest.get("weights") or "as published",
        "dtype, quantization": f"{cell.field('dtype')}, {cell.field('quantization')}",
        "Benchmark": benchmark,
        "Data": ", ".join(f"{name} {data[name]}" for name in ["source", "md5"] if data.get(name)),
        "Profile, template": f"{cell.field('profile')}, {cell.field('template')}",
        "Anchor, mask": f"{cell.field('anchor')}, {cell.field('mask')}",
        "Omega": omega,
        "Tasks": f"{cell.field('n_tasks')} ({cell.field('n_anchored')} with the anchor)",
        "Done": f"{done.done} of {done.total}, {done.scored} of {done.lines} lines scored",
        "Sandbox": scoring.get("sandbox") or "",
        "Suspect": str(done.suspect),
        "Plus tests": "yes" if scoring.get("plus") else "no",
        "Corrections": _flat(scoring.get("corrections")),
        "Scorer": scoring.get("scorer_id") or "",
        "Warnings": _flat(manifest.get("warnings")),
        "Command": _flat(manifest.get("command"), " "),
        "Versions": _flat(manifest.get("versions")),
        "Code": git.get("commit", "") + (" with uncommitted changes" if git.get("dirty") else ""),
        "Kernels": _flat({name: manifest[name] for name in ("attention", "linear") if manifest.get(name)}),
        "Hardware": _flat(manifest.get("hardware")),
    }
    names = [cell.field("model"), benchmark, f"{cell.field('anchor')} ({cell.field('mask')})", f"ω = {omega}"]
    return RunFacts(cell.run.key, ", ".join(names), {name: value or "none" for name, value in facts.items()})


def _flat(value: Any, between: str = "; ") -> str:
    """A manifest's text, list or mapping as one line."""
    if isinstance(value, dict):
        return between.join(f"{name} {_flat(value[name], ', ')}" for name in value)
    if isinstance(value, list):
        return between.join(_flat(item, ", ") for item in value)
    return re.sub(r"\s+", " ", str(value)) if value is not None else ""
