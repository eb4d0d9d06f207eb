"""What of a results folder is done, running, failed, left."""

from rich.table import Table
from rich.text import Text

from spa.aggregate import Cell, progress
from spa.tables import benchmark_name, omega_set_text

_NUMBERS = ["samples", "scored", "tokens/s"]


def status_table(cells: list[Cell]) -> Table:
    """A row for each run. Of an interval, `samples` counts the tasks that are done over all of it."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ["run", "model", "benchmark", "anchor", "mask", "omega", *_NUMBERS, "status"]:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for cell in cells:
        done = progress(cell)
        speed = cell.manifest.get("tokens_per_second")
        values = [
            cell.run.key,
            cell.field("model"),
            benchmark_name(cell.field("benchmark")),
            cell.field("anchor"),
            cell.field("mask"),
            omega_set_text(cell.field("omega")),
            f"{done.done}/{done.total}",
            f"{done.scored}/{done.lines}",
            "" if speed is None else f"{speed:.1f}",
            {"running": "running or interrupted"}.get(cell.field("status"), cell.field("status")),
        ]
        table.add_row(*(Text(str(value)) for value in values))
    return table
