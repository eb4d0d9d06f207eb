"""Results folders as Parquet files, which `datasets` and the Hugging Face hub read.

An export holds two tables. `samples` has a row for each line of samples.jsonl, with its run's identity and the verdicts
that count, on hidden and on visible tests. `cells` has a row for each run, with its identity and its manifest as JSON.
Verdicts that do not count, those of other scorers, are left out.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

from spa.errors import SpaError
from spa.records import OWN, SETTINGS, Generation, Record, Score, Span, VisibleScore
from spa.results.files import write_atomically
from spa.results.judged import judged
from spa.results.manifest import Manifest
from spa.results.store import Results, Run

Row = dict[str, Any]
Columns = dict[str, Any]  # name -> type of the values

FILE = "train-00000-of-00001.parquet"  # as the hub names it
ROW_GROUP = 1000  # rows that are in memory at a time
DATASET_CARD = """---
configs:
- config_name: samples
  data_files: samples/*.parquet
  default: true
- config_name: cells
  data_files: cells/*.parquet
---
Samples and verdicts of Selective Prompt Anchoring (arXiv 2408.09121). `samples` has a row for each text and its range
of omegas, `cells` one for each run, with its manifest.
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
    samples = {**_types(Generation), **_types(Score, _VERDICT), **_types(VisibleScore, _VISIBLE)}
    tables = {"samples": (samples, _samples(results)), "cells": ({"manifest": str}, _cells(results))}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as aside:  # a finished file is complete
        for name, (columns, rows) in tables.items():
            _write(rows, columns, Path(aside) / name)
        for name in tables:
            (out / name).mkdir(exist_ok=True)
            (Path(aside) / name).replace(out / name / FILE)
    write_atomically(out / "README.md", DATASET_CARD)
    if push_to:
        _push(out, list(tables), push_to)


def _write(rows: Iterator[Row], columns: Columns, path: Path) -> None:
    """Write the rows, one row group in memory at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(columns)
    try:
        with parquet.ParquetWriter(path, schema) as writer:
            while group := list(islice(rows, ROW_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema))
    except (SpaError, pa.ArrowException, UnicodeError, OverflowError) as error:
        raise SpaError(f"cannot export: {error}") from error


def _schema(columns: Columns) -> Any:
    """The types of a table, its identity first."""
    import pyarrow as pa

    def list_of(item: Any) -> Any:
        return pa.list_(pa.field("element", item))  # Parquet's own name

    arrow: dict[Any, Any] = {
        **dict.fromkeys([str, str | None], pa.string()),
        **dict.fromkeys([int, int | None], pa.int64()),
        **dict.fromkeys([bool, bool | None], pa.bool_()),
        float: pa.float64(),
        list[int]: list_of(pa.int64()),
        list[Span]: list_of(list_of(pa.int64())),
    }
    return pa.schema({name: arrow[kind] for name, kind in {**dict.fromkeys(_IDENTITY, str), **columns}.items()})


def _push(folder: Path, tables: Sequence[str], repository: str) -> None:
    """Make the repository hold this export; what it holds beside the tables and their card stays."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever HTTP client the hub uses

    hub = HfApi()
    try:
        repo_id = hub.create_repo(repository, repo_type="dataset", exist_ok=True).repo_id
        hub.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=["README.md", *(f"{name}/{FILE}" for name in tables)],
            delete_patterns=[f"{name}/*.parquet" for name in tables],
        )
    except (OSError, httpx.HTTPError) as error:
        raise SpaError(f"cannot push to {repository}: {error}; log in with `hf auth login`, try again") from error


def _samples(results: Sequence[Results]) -> Iterator[Row]:
    for folder, run in _runs(results):
        manifest = run.manifest()
        for extraction in run.extractions():
            identity = _identity(folder, manifest, extraction)
            for each in judged(run, manifest, Generation, extraction):
                yield {
                    **identity,
                    **_values(Generation, each.sample),
                    **_values(Score, each.score, _VERDICT),
                    **_values(VisibleScore, each.visible, _VISIBLE),
                }


def _cells(results: Sequence[Results]) -> Iterator[Row]:
    for folder, run in _runs(results):
        manifest = run.manifest()
        yield {**_identity(folder, manifest, OWN), "manifest": json.dumps(manifest.to_json())}


def _runs(results: Sequence[Results]) -> Iterator[tuple[Results, Run]]:
    return ((folder, run) for folder in results for run in folder.runs())


def _identity(results: Results, manifest: Manifest, extraction: str) -> Row:
    name = results.folder.resolve().name
    return manifest.settings(extraction) | {"results": name, "experiment": manifest.experiment, "key": manifest.key}


def _types(record: type[Record], prefix: str = "") -> Columns:
    return {prefix + name: kind for name, kind in get_type_hints(record).items()}


def _values(record: type[Record], content: Record | None, prefix: str = "") -> Row:
    return {prefix + field.name: content and getattr(content, field.name) for field in fields(record)}  # type: ignore[arg-type]
