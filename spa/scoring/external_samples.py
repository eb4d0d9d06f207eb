"""Anyone's samples, in evalplus' format: read, scored, summed up, compared.

A file has one JSON object a line, with `task_id` and `solution`, or with a `completion` to follow the task's prompt; it
may be compressed by gzip, and begin with a byte order mark. A folder has one program a file, DIR/HumanEval_0/0.py.
"""

import gzip
import json
import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spa.errors import SpaError
from spa.records import Score, Submission, solution_sha
from spa.results.files import write_atomically
from spa.results.store import Run
from spa.scoring.score import corrections, name_tasks, score_into
from spa.tasks.benchmarks import Benchmark

logger = logging.getLogger(__name__)

GZIP = b"\x1f\x8b"  # how such a file begins, whatever it is called

Passes = dict[str, list[bool]]  # task_id -> whether each of its samples passes


@dataclass(frozen=True)
class Samples:
    """The samples of one file or folder, and where they differ from one of every task."""

    path: Path
    requests: tuple[Submission, ...]  # of the benchmark's tasks
    missing: tuple[str, ...]  # tasks without a sample
    unknown: tuple[str, ...]  # tasks that the benchmark does not have
    repeated: tuple[str, ...]  # tasks with several samples


def score_samples(
    path: Path, benchmark: Benchmark, out: Path, *, sandbox: str, partial: bool = False, compare: Path | None = None
) -> dict[str, Any]:
    """Score a samples file, and another one to compare it with, into `out`/scores.jsonl.

    Returns what is also written to `out`/summary.json: see `summarize`, and for `compare` see `flips`.
    """
    samples = read_samples(path, benchmark, partial)
    other = compare and read_samples(compare, benchmark, partial)
    if other:
        for each in (samples, other):
            if each.repeated:
                raise SpaError(
                    f"{each.path} has several samples of {name_tasks(each.repeated, benchmark)}; "
                    "leave one of each task to compare two files"
                )
    run, summary_path = Run(out), out / "summary.json"
    with run.locked():
        summary_path.unlink(missing_ok=True)  # of earlier samples: none is better than a wrong one
        requests = samples.requests + (other.requests if other else ())
        report = score_into(run, requests, benchmark, sandbox, progress=True, hidden=out)
        scores = [score for score in run.scores() if score.scorer_id == report.scorer_id]
        summary = summarize(samples, scores, benchmark) | {"scoring": asdict(report)}
        if other:
            compared = summarize(other, scores, benchmark)
            summary |= {"compared": compared, "flips": flips(samples, other, scores, benchmark)}
        write_atomically(summary_path, json.dumps(summary, indent=1) + "\n")
    return summary


def read_samples(path: Path, benchmark: Benchmark, partial: bool = False) -> Samples:
    """Read a file or folder. Missing and unknown tasks are a SpaError, or with `partial` a warning."""
    prompts = {problem.task_id: problem.prompt for problem in benchmark.problems}
    try:
        found = list(_folder(path, prompts) if path.is_dir() else _lines(path, prompts))
    except OSError as error:
        raise SpaError(f"cannot read the samples {error.filename or path}: {error.strerror or error}") from None
    counts = Counter(task_id for task_id, _ in found)
    samples = Samples(
        path,
        requests=tuple((task_id, solution) for task_id, solution in found if task_id in prompts),
        missing=tuple(task_id for task_id in prompts if task_id not in counts),
        unknown=tuple(task_id for task_id in counts if task_id not in prompts),
        repeated=tuple(task_id for task_id in prompts if counts[task_id] > 1),
    )
    lacks = [f"has no sample of {name_tasks(samples.missing, benchmark)}"] if samples.missing else []
    if samples.unknown:
        lacks.append(f"has samples of {name_tasks(samples.unknown, benchmark)}, unknown to {benchmark.name}")
    if not samples.requests or (lacks and not partial):
        advice = "mend it, or score the rest with --partial" if samples.requests else "is this the right benchmark?"
        raise SpaError(f"{path} {' and '.join(lacks)}; {advice}")
    for lack in lacks:
        logger.warning("%s %s", path, lack)
    if samples.repeated:
        logger.warning("%s has several samples of %s", path, name_tasks(samples.repeated, benchmark))
    return samples


def summarize(samples: Samples, scores: Iterable[Score], benchmark: Benchmark) -> dict[str, Any]:
    """Pass@1 as a fraction: the mean, over the tasks that have samples, of the share of a task's samples that pass."""

    def rate(passes: Passes) -> dict[str, Any]:
        shares = [sum(samples) / len(samples) for samples in passes.values()]
        return {"n_passed": sum(map(sum, passes.values())), "pass_at_1": sum(shares) / len(shares)}

    passes = _passes(samples, scores, benchmark)
    return {
        "samples": str(samples.path),
        "benchmark": benchmark.name,
        "n_tasks": len(passes["base"]),
        "n_samples": len(samples.requests),
        "missing": samples.missing,
        "unknown": samples.unknown,
        "repeated": samples.repeated,
        "base": rate(passes["base"]),
        "plus": rate(passes["plus"]) if benchmark.plus else None,
        "corrections": corrections(benchmark),
    }


def flips(first: Samples, second: Samples, scores: Iterable[Score], benchmark: Benchmark) -> dict[str, Any]:
    """For "base" and "plus": tasks that only the second file passes (`fixed`), that only the first one passes
    (`broken`), and McNemar's exact p-value. Of tasks that both files have; each has one sample."""
    from spa.statistics import mcnemar_exact  # brings libraries that take a second to import

    scores = list(scores)
    before, after = _passes(first, scores, benchmark), _passes(second, scores, benchmark)
    found = {}
    for tests in before:
        both = [task_id for task_id in before[tests] if task_id in after[tests]]
        fixed = [task_id for task_id in both if after[tests][task_id] > before[tests][task_id]]
        broken = [task_id for task_id in both if after[tests][task_id] < before[tests][task_id]]
        p_value = float(mcnemar_exact(len(fixed), len(broken)))
        found[tests] = {"n_tasks": len(both), "fixed": fixed, "broken": broken, "p_value": p_value}
    return found


def render(summary: dict[str, Any]) -> str:
    """The summary for people."""
    lines = []
    for tests in ("base", "plus"):
        for each in (summary, summary.get("compared")):
            if each and (rate := each[tests]):
                share = f"{rate['n_passed']}/{each['n_samples']} samples pass"
                tasks = f", tasks without a sample: {len(each['missing'])}" if each["missing"] else ""
                name = f"{each['samples']}: " if "compared" in summary else ""
                lines.append(
                    f"{name}{each['benchmark']}, {tests} tests: Pass@1 {rate['pass_at_1']:.4f} ({share}{tasks})"
                )
    for tests, found in summary.get("flips", {}).items():
        lines.append(
            f"{tests} tests, {found['n_tasks']} tasks: {len(found['broken'])} pass only in {summary['samples']}, "
            f"{len(found['fixed'])} only in {summary['compared']['samples']}; exact McNemar p = {found['p_value']:.4g}"
        )
        lines += [f"  {task_id}: pass -> fail" for task_id in found["broken"]]
        lines += [f"  {task_id}: fail -> pass" for task_id in found["fixed"]]
    return "\n".join(lines)


def _lines(path: Path, prompts: dict[str, str]) -> Iterator[Submission]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
            task_id, solution, completion = sample["task_id"], sample.get("solution"), sample.get("completion")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SpaError(f"{path}:{number} is not a JSON object with a task_id") from None
        if solution is None and isinstance(task_id, str) and isinstance(completion, str):
            solution = prompts.get(task_id, "") + completion
        if not isinstance(task_id, str) or not isinstance(solution, str):
            raise SpaError(f"{path}:{number} needs a task_id and a text `solution` or `completion`")
        yield task_id, solution


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpaError(f"cannot read the samples {path}: not UTF-8 ({error})") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SpaError(f"cannot read the samples {path}: the compressed file is damaged ({error})") from None


def _folder(path: Path, prompts: dict[str, str]) -> Iterator[Submission]:
    tasks = {task_id.replace("/", "_"): task_id for task_id in prompts}
    for program in sorted(path.glob("*/*.py")):
        folder = program.parent.name
        try:
            yield tasks.get(folder, folder.replace("_", "/")), program.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpaError(f"cannot read the sample {program}: not UTF-8 ({error})") from None


def _passes(samples: Samples, scores: Iterable[Score], benchmark: Benchmark) -> dict[str, Passes]:
    """Under "base", and under "plus" where there are such tests. A plus pass needs the base tests too."""
    verdicts = {(s.task_id, s.solution_sha): s for s in scores}
    base, plus = defaultdict[str, list[bool]](list), defaultdict[str, list[bool]](list)
    for task_id, solution in samples.requests:
        verdict = verdicts[task_id, solution_sha(solution)]
        base[task_id].append(verdict.passed("base"))
        plus[task_id].append(verdict.passed())
    return {"base": base, "plus": plus} if benchmark.plus else {"base": base}
