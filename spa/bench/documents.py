"""README.md and docs/ from templates, which take their numbers from results/.

Every file of docs/templates/ is Markdown with jinja2's tags; README.md goes to the root, the others to docs/. Each sees

- `bench`: what scripts/bench.py measured on a CPU, a `Measurement` of `spa.results.speed`
- `scorers()`: a table of what scripts/compare_scorers.py found
- `odd()`: a table of what became of the programs in tests/odd
- `architectures(verdict)`: what became of transformers' model types, of those with a verdict; `architecture_facts` and
  `n_architectures`: the conditions, and how many are equal
- `ratio(Ratio.NAME)`: a ratio of `bench`
- `against`: what `spa bench --against` found of an earlier commit, and `against_rows()`, a table of it
- `table(name)`: a table of results/reference without its heading and notes; `headline()`: its table `paper`, with a row
  for each model and benchmark; `answer()`: the sentence with which the report begins
- `runs()`: a table of what each run took; `presets()`: one of what each preset is for and costs
- `pass_at_1(column=value, ...)`, `published(column=value, ...)`: the one row's of results/reference/summary.csv or of
  results/published/pass_at_1.csv, in per cent
- `beside(column=value, ...)`, `less(column=value, ...)`: of one row of the table `published`, ours in per cent with the
  points to the published number, and how much our plain Pass@1 is less that under EvalPlus' prompt, with its interval
- `share`, `splits`, `sampled`: of the tuned reading

and whatever is not there is an error.
"""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spa.analysis import headline, published
from spa.analysis.curves import SAMPLED
from spa.analysis.formats import benchmark_name, percent, signed
from spa.analysis.readings import SHARE, SPLITS
from spa.config import CONF, PACKAGE
from spa.errors import SpaError
from spa.omega import omega_set_text
from spa.report.tables import pipe_table
from spa.results import speed
from spa.results.store import Results, Run

ROOT = PACKAGE.parent
TEMPLATES = ROOT / "docs" / "templates"
REFERENCE = Results(ROOT / "results" / "reference")
BENCH = ROOT / "results" / "bench"
AGAINST = BENCH / "against-dacc3ae61194.json"  # the commit before drafts and the step of fixed shapes


def render() -> dict[Path, str]:
    """The documents as they ought to be, by path. Raises SpaError outside of a checkout."""
    if not TEMPLATES.is_dir():
        raise SpaError(f"{TEMPLATES} is missing: the documents are written in a checkout")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    environment.globals |= _facts()
    names = sorted(path.name for path in TEMPLATES.glob("*.md"))
    return {_place(name): environment.get_template(name).render() for name in names}


def stale() -> list[Path]:
    """The documents that differ from what their templates and the results give."""
    return [path for path, text in render().items() if not path.exists() or path.read_text() != text]


def _place(name: str) -> Path:
    return ROOT / name if name == "README.md" else ROOT / "docs" / name


def _facts() -> dict[str, Any]:
    path = _there(BENCH / "cpu-smollm2-float32.json")
    bench = speed.read(path)
    if bench is None:
        raise SpaError(f"{path} is no measurement of speed, and the documents quote it; measure again (make bench)")
    tried = json.loads(_there(BENCH / "architectures.json").read_bytes())
    return {
        "bench": bench,
        "Ratio": speed.Ratio,
        "ratio": lambda ratio: f"{bench.ratios[ratio]:.2f}",
        "against": json.loads(_there(AGAINST).read_bytes()),
        "against_rows": _against,
        "scorers": _scorers,
        "odd": _odd,
        "architectures": lambda verdict: _architectures(tried["outcomes"], verdict),
        "architecture_facts": tried,
        "n_architectures": sum(each["verdict"] == "equal" and "," not in each["name"] for each in tried["outcomes"]),
        "table": _table,
        "headline": _headline,
        "answer": lambda: headline.answer(_tuned()),
        "presets": _presets,
        "runs": _runs,
        "pass_at_1": pass_at_1,
        "published": _published,
        "beside": _beside,
        "less": _less,
        "share": f"{SHARE:.0%}",
        "splits": f"{SPLITS:,}",
        "sampled": SAMPLED,
    }


def _table(name: str) -> str:
    text = _there(REFERENCE.tables_folder / f"{name}.md").read_text()
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def _headline() -> str:
    """Plain and tuned Pass@1 and their difference; narrow enough for a page."""
    rows = [
        [
            row["model"],
            benchmark_name(row["benchmark"]),
            percent(row["plain_pass_at_1"]),
            percent(row["spa_pass_at_1"]),
            f"{signed(row['delta'])} ({signed(row['delta_low'])} to {signed(row['delta_high'])})",
        ]
        for _, row in _tuned().iterrows()
    ]
    return pipe_table(rows, ["Model", "Benchmark", "Plain", "SPA", "Difference"], ["left"] * 2 + ["right"] * 3)


def _tuned() -> pd.DataFrame:
    return pd.read_csv(_there(REFERENCE.tables_folder / "paper.csv"))


def _presets() -> str:
    """What the header of each preset says: its first sentence, and its cost."""
    rows = [_preset_row(path) for path in sorted((CONF / "experiment").glob("*.yaml"))]
    return pipe_table(rows, ["experiment=", "What", "Cost"], ["left"] * 3)


def _preset_row(path: Path) -> list[str]:
    """The header is comments: `# @package`, what it is for, the command, the cost, what to expect."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines()[1:])
    purpose, _, rest = "\n".join(line.removeprefix("# ") for line in lines).partition("\n  make ")
    (cost,) = re.findall(r"^Cost: (.*)$", rest, re.MULTILINE)
    return [f"`{path.stem}`", re.split(r"(?<=[.?]) ", " ".join(purpose.split()))[0], cost.rstrip(".")]


def _runs() -> str:
    rows = sorted(_run_row(run) for run in REFERENCE.runs())
    headings = ["Model", "Benchmark", "Template", "Anchor (mask)", "Omega", "Texts a task", "Minutes", "Commit"]
    return pipe_table(rows, headings, ["left"] * 5 + ["right"] * 2 + ["left"])


def _run_row(run: Run) -> list[str]:
    manifest = run.manifest()
    return [
        manifest.model,
        benchmark_name(manifest.benchmark),
        manifest.template,
        f"{manifest.anchor} ({manifest.mask})",
        omega_set_text(manifest.omega),
        f"{run.count_samples() / manifest.n_tasks:.1f}",
        f"{manifest.generation_seconds / 60:.0f}",
        manifest.git.commit[:7] if manifest.git else "",
    ]


def _against() -> str:
    found, rows = json.loads(AGAINST.read_bytes()), []
    for work in found["work"]:
        here, there = work["seconds"].values()
        low, high = work["range"]
        times = [f"{here:.1f}", f"{there:.1f}", f"{work['time here / there']:.2f}", f"{low:.2f} to {high:.2f}"]
        rows.append([work["name"], str(min(work["tasks"], found["limit"] or work["tasks"])), *times])
    headings = ["Work", "Tasks", "Time now (s)", "Before (s)", "Now / before", "Rounds"]
    return pipe_table(rows, headings, ["left", *["right"] * 5])


def _scorers() -> str:
    rows = [_scorer_row(json.loads(path.read_bytes())) for path in sorted(BENCH.glob("scorers-*.json"))]
    headings = ["Samples", "Benchmark", "Solutions", "Rounds", "evalplus passes", "Ours", "Time (s)"]
    headings += ["of which extra", "Time / evalplus", "/ its two workers", "/ before"]
    return pipe_table(rows, headings, ["left"] * 2 + ["right"] * 9)


def _odd() -> str:
    """How many odd programs pass by evalplus, and by us, and how many fail by both."""
    programs = json.loads((BENCH / "odd-programs.json").read_bytes())["programs"]
    rows = []
    for kind, passes in (("passes by evalplus", True), ("does not", False)):
        ours = [row["reason"] == "passed" for row in programs if row["evalplus"] is passes]
        rows.append([kind, str(len(ours)), str(sum(ours)), str(len(ours) - sum(ours))])
    return pipe_table(rows, ["A program that", "Programs", "Pass here", "Fail here"], ["left", *["right"] * 3])


def _architectures(outcomes: list[dict[str, Any]], verdict: str) -> str:
    """A table of the model types, or of those that are refused or not built with the reason."""
    chosen = [each for each in outcomes if each["verdict"] == verdict]
    if verdict != "equal":
        return pipe_table([[each["name"], each["note"]] for each in chosen], ["Model type", "Why"], ["left"] * 2)
    rows = [
        [each["name"], str(sum(each["compared"].values())), str(each["distinct"]), str(each["close"])]
        for each in chosen
    ]
    return pipe_table(rows, ["Model type", "Comparisons", "Distinct tokens", "Ties"], ["left", *["right"] * 3])


def _scorer_row(compared: dict[str, Any]) -> list[str]:
    seconds = compared["median_seconds"]
    before = [side for side in seconds if side.startswith("ours at ")]
    passed = {scorer: f"{rounds[0]['base']}, {rounds[0]['plus']}" for scorer, rounds in compared["passed"].items()}
    return [
        compared["samples"].removesuffix(".jsonl"),
        benchmark_name(compared["benchmark"]),
        str(compared["n_samples"]),
        str(compared["rounds"]),
        passed["evalplus"],
        passed["ours"],
        f"{seconds['ours']:.1f}",
        f"{sum(compared['extra_seconds'].values()):.1f}",
        *(f"{seconds['ours'] / seconds[side]:.2f}" for side in ("evalplus", "evalplus --parallel 2", *before)),
    ]


def pass_at_1(**values: Any) -> str:
    """The Pass@1 of the one row of results/reference/summary.csv with these values, in per cent."""
    return percent(_one(pd.read_csv(_there(REFERENCE.summary_path)), values)["pass_at_1"])


def _published(**values: Any) -> str:
    return percent(_one(published.read(), values)["published"])


def _beside(**values: Any) -> str:
    row = _compared(values)
    return f"{percent(row['ours'])} ({signed(row['difference'])})"


def _less(**values: Any) -> str:
    row = _compared(values)
    return f"{signed(row['less_leaderboard'])} ({signed(row['less_low'])} to {signed(row['less_high'])})"


def _compared(values: dict[str, Any]) -> Any:
    return _one(pd.read_csv(_there(REFERENCE.tables_folder / "published.csv")), values | {"quantity": "plain"})


def _one(table: pd.DataFrame, values: dict[str, Any]) -> Any:
    rows = table[(table[list(values)] == pd.Series(values)).all(axis=1)]
    if len(rows) != 1:
        raise SpaError(f"there are {len(rows)} rows of {values}; name one")
    return rows.iloc[0]


def _there(path: Path) -> Path:
    if not path.exists():
        raise SpaError(f"{path} is not there, and the documents quote it; make it, or drop it from {TEMPLATES}")
    return path
