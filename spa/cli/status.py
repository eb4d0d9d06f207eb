"""What of results folders is done, running (with rate and time left), failed, interrupted, missing."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spa.analysis.formats import benchmark_name
from spa.cli.standing import Row, Standing, look
from spa.errors import one_line_errors
from spa.results.store import find_results

COLUMNS = ("run", "model", "benchmark", "anchor", "mask", "omega", "tasks", "tasks/min", "left", "scored", "state")
NUMBERS = ("tasks", "tasks/min", "left", "scored")
STYLES = {"running": "green", "failed": "red", "interrupted": "yellow", "not scored": "yellow", "missing": "yellow"}
SHOWN = 200


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results_dir",
        type=Path,
        nargs="+",
        metavar="RESULTS_DIR",
        help="a folder that holds runs/, or a parent of several such folders",
    )
    parser.add_argument("--watch", action="store_true", help="look again every few seconds, until Ctrl-C")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two looks (default 5)")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)  # a pipe has no width: keep a run on one line
    if arguments.watch:
        watch(lambda: look(find_results(arguments.results_dir)), console, arguments.seconds)
    else:
        console.print(rendered(look(find_results(arguments.results_dir))))


def rendered(standing: Standing) -> Group:
    """A row for each run, the errors of failed ones below, and how many cells are in which state.

    Of more than 200 runs those in the first states are shown: what is complete comes last.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    shown = standing.rows[:SHOWN]
    for row in shown:
        table.add_row(*map(Text, _values(row)), Text(row.state, STYLES.get(row.state, "")))
    lines = [Text(f"{row.folder.name} failed: {row.error}", "red") for row in shown if row.error]
    if len(shown) < len(standing.rows):
        lines.append(Text(f"... and {len(standing.rows) - len(shown):,} more runs, not shown"))
    done, total = sum(row.done for row in standing.rows), sum(row.total for row in standing.rows)
    counts = ", ".join(f"{count:,} {state}" for state, count in standing.counts.items()) or "no cell"
    return Group(table, *lines, Text(f"{counts}; {done:,.0f} of {total:,} tasks", "bold"))


def watch(again: Callable[[], Standing], console: Console, seconds: float) -> None:
    """Show the standing anew every few seconds until Ctrl-C, and leave the last one on the screen."""
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(rendered(again()), refresh=True)
            time.sleep(seconds)


def _values(row: Row) -> list[str]:
    model, benchmark, anchor, mask, omegas = row.cell
    return [
        *(row.folder.name, model, benchmark_name(benchmark), anchor, mask, omegas),
        f"{row.done:.4g}/{row.total}" if row.total else "",
        f"{row.rate * 60:.3g}" if row.rate else "",
        "" if row.seconds_left is None else _duration(row.seconds_left),
        str(row.scored),
    ]


def _duration(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
