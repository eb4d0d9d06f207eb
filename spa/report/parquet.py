"""Results folders as Parquet, through `datasets`, and back.

An export holds two tables. `samples` has a row for each line of samples.jsonl, with its run's identity and the verdicts
that count, on hidden and on visible tests. `cells` has a row for each run, with its identity and its manifest as JSON.
That is all that tables are made from: the folders that `restore` writes give the same summary.csv, byte for byte. Only
verdicts that do not count, those of other scorers, are left out.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any, get_type_hints

from spa.analysis.aggregate import SETTINGS, Cell, verdicts
from spa.errors import SpaError
from spa.records import Generation, Record, Score, Span, VisibleScore
from spa.results.files import write_atomically
from spa.results.store import Results, Run, solution_sha

Row = dict[str, Any]

FILE = "train-00000-of-00001.parquet"  # as the hub names it
CARD = """---
configs:
- config_name: samples
  data_files: samples/*.parquet
  default: true
- config_name: cells
  data_files: cells/*.parquet
---
Samples and verdicts of Selective Prompt Anchoring (arXiv 2408.09121). `samples` has a row for each text and its range
of omegas, `cells` one for each run, with its manifest. `scripts/export.py --restore` makes results folders of them.
"""

_IDENTITY = ("results", "experiment", "key", *SETTINGS)  # `results` is the name of the results folder
_VERDICT, _VISIBLE = "verdict_", "visible_"  # before the fields of a score


def export(results: Sequence[Results], out: Path, push_to: str | None = None) -> None:
    """Write both tables and a dataset card into `out`; send them to the hub only where a repository is named.

    Raises SpaError where two folders have one name, where a text is not Unicode, and where the hub refuses.
    """
    names = [folder.folder.resolve().name for folder in results]
    if len(set(names)) < len(names):
        raise SpaError(f"two of the results folders have the same name ({', '.join(names)}); rename one")
    columns = {**_types(Generation), **_types(Score, _VERDICT), **_types(VisibleScore, _VISIBLE)}
    with tempfile.TemporaryDirectory() as cache:
        tables = {
            "samples": _table(_samples, columns, results, cache),
            "cells": _table(_cells, {"manifest": str}, results, cache),
        }
        for name, table in tables.items():
            _write(table, out / name / FILE)
        write_atomically(out / "README.md", CARD)
        for name, table in tables.items() if push_to else ():
            try:
                table.push_to_hub(push_to, config_name=name)
            except OSError as error:
                raise SpaError(f"cannot push to {push_to}: {error}; log in with `hf auth login`, try again") from error


def restore(folder: Path, out: Path) -> list[Results]:
    """Write an export, or a copy of it from the hub, as results folders into `out`.

    Raises SpaError where `folder` is no export, and where a run is there already.
    """
    found: dict[str, Results] = {}
    for row in _read(folder, "cells"):
        results = found.setdefault(row["results"], Results(out / row["results"]))
        if results.run(row["key"]).folder.exists():
            raise SpaError(f"{results.run(row['key']).folder} is there already; give an empty folder")
    for (name, key), rows in groupby(_read(folder, "samples"), key=lambda row: (row["results"], row["key"])):
        lines = list(rows)
        run = found[name].run(key)
        run.folder.mkdir(parents=True)
        run.append_samples(Generation(**_fields(Generation, row)) for row in lines)
        scores = [Score(**_fields(Score, row, _VERDICT)) for row in lines if row[f"{_VERDICT}scorer_id"]]
        run.append_scores({(score.task_id, score.solution_sha): score for score in scores}.values())
        shown = [VisibleScore(**_fields(VisibleScore, row, _VISIBLE)) for row in lines if row[f"{_VISIBLE}task_id"]]
        run.append_visible({(score.task_id, score.solution_sha): score for score in shown}.values())
    for row in _read(folder, "cells"):
        found[row["results"]].run(row["key"]).write_manifest(json.loads(row["manifest"]))
    return list(found.values())


def _table(
    rows: Callable[[Sequence[Results]], Iterator[Row]], columns: Row, results: Sequence[Results], cache: str
) -> Any:
    """A `datasets.Dataset` of the rows; they lie in the folder `cache` and not in memory."""
    import datasets  # takes seconds

    datasets.disable_progress_bars()
    whole, text = datasets.Value("int64"), datasets.Value("string")
    arrow: dict[Any, Any] = {
        **dict.fromkeys([str, str | None], text),
        **dict.fromkeys([int, int | None], whole),
        float: datasets.Value("float64"),
        **dict.fromkeys([bool, bool | None], datasets.Value("bool")),
        list[int]: datasets.List(whole),
        list[Span]: datasets.List(datasets.List(whole)),
    }
    kinds = {**dict.fromkeys(_IDENTITY, str), **columns}
    features = datasets.Features({name: arrow[kind] for name, kind in kinds.items()})
    try:
        return datasets.Dataset.from_generator(rows, features, cache, gen_kwargs={"results": tuple(results)})
    except datasets.exceptions.DatasetGenerationError as error:
        raise SpaError(f"cannot export: {error.__cause__}") from error


def _samples(results: Sequence[Results]) -> Iterator[Row]:
    for folder, run in _runs(results):
        cell = Cell(run, run.manifest(), [])
        identity, found = _identity(folder, cell), verdicts(run, cell.manifest)
        shown = {(score.task_id, score.solution_sha): score for score in run.visible()}
        for sample in run.iter_samples(Generation):
            solution = sample.task_id, solution_sha(sample.solution)
            yield {
                **identity,
                **_columns(Generation, sample),
                **_columns(Score, found.get(solution), _VERDICT),
                **_columns(VisibleScore, shown.get(solution), _VISIBLE),
            }


def _cells(results: Sequence[Results]) -> Iterator[Row]:
    for folder, run in _runs(results):
        cell = Cell(run, run.manifest(), [])
        yield {**_identity(folder, cell), "manifest": json.dumps(cell.manifest)}


def _runs(results: Sequence[Results]) -> Iterator[tuple[Results, Run]]:
    return ((folder, run) for folder in results for run in folder.runs())


def _identity(results: Results, cell: Cell) -> Row:
    settings = {name: cell.field(name) or "" for name in SETTINGS}
    name = results.folder.resolve().name
    return settings | {
        "results": name,
        "experiment": cell.experiment,
        "key": cell.run.key,
        "quantization": cell.quantization,
    }


def _types(record: type[Record], prefix: str = "") -> Row:
    return {prefix + name: kind for name, kind in get_type_hints(record).items()}


def _columns(record: type[Record], content: Record | None, prefix: str = "") -> Row:
    return {prefix + field.name: content and getattr(content, field.name) for field in fields(record)}  # type: ignore[arg-type]


def _fields(record: type[Record], row: Row, prefix: str = "") -> Row:
    return {field.name: row[prefix + field.name] for field in fields(record)}  # type: ignore[arg-type]


def _write(table: Any, path: Path) -> None:
    """Aside, then renamed: a finished file is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    table.to_parquet(aside)
    aside.replace(path)


def _read(folder: Path, table: str) -> Iterator[Row]:
    """The rows of a table, a batch in memory at a time."""
    from pyarrow import parquet

    paths = sorted((folder / table).glob("*.parquet"))
    if not paths:
        raise SpaError(f"{folder} is not an export: it has no {table}/*.parquet; give the --out of scripts/export.py")
    return (
        row
        for path in paths
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=100)
        for row in batch.to_pylist()
    )
