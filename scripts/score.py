"""Score samples in evalplus' format: writes scores.jsonl and summary.json to a folder, prints Pass@1.

A samples file has one JSON object a line: task_id, and solution (a whole program) or completion (what follows the
prompt). A folder of programs will do too: DIR/HumanEval_0/0.py. Scored solutions are not scored again.
"""

import argparse
import logging
from pathlib import Path

from spa.errors import one_line_errors

EXAMPLE = "example: score.py --samples a.jsonl --compare b.jsonl --benchmark mbpp_plus --out results/a_b"


@one_line_errors
def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=style)
    parser.add_argument("--samples", type=Path, required=True, metavar="X", help="JSONL file, or folder")
    parser.add_argument("--benchmark", required=True, help="humaneval, humaneval_plus, mbpp or mbpp_plus")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--compare", type=Path, metavar="Y", help="score these too; print flipped tasks and a p-value")
    parser.add_argument("--partial", action="store_true", help="score what fits, though tasks are missing or unknown")
    parser.add_argument("--sandbox", default="auto", choices=("auto", "bubblewrap", "none"), help="default: auto")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from spa import benchmarks, samples_file
    from spa.config import load_benchmark_config

    benchmark = benchmarks.load(load_benchmark_config(options.benchmark))
    how = {"sandbox": options.sandbox, "partial": options.partial, "compare": options.compare}
    print(samples_file.render(samples_file.score_samples(options.samples, benchmark, options.out, **how)))


if __name__ == "__main__":
    main()
