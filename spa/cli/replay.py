"""Decode stored samples again with transformers' own generate and guidance, and compare them token for token."""

import argparse
import sys
from pathlib import Path

from spa.errors import one_line_errors
from spa.results.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results_dir", type=Path, help="a folder that holds runs/, or a parent of several")
    parser.add_argument("--tasks", type=int, default=10, help="the first N tasks of each run, all omegas (default 10)")
    arguments = parser.parse_args()
    folders = find_results([arguments.results_dir])
    from spa.runs.replay import replay

    differing = total = 0
    for results in folders:
        for done in replay(results, arguments.tasks):
            sample, total = done.sample, total + 1
            differing += not done.agrees
            verdict = "agrees" if done.agrees else f"differs after {done.same} tokens"
            place = f"{done.key} {sample.task_id} omega {sample.omega_lo:g}..{sample.omega_hi:g}"
            print(f"{place}: {len(sample.completion_ids)} tokens, {verdict}", flush=True)
    print(f"{total - differing} of {total} samples agree")
    sys.exit(1 if differing else 0)
