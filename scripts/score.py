"""Score a samples file in evalplus' format: writes scores.jsonl and summary.json, prints Pass@1."""

import argparse
import logging
from pathlib import Path

from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, required=True, help="JSONL: task_id and solution, or completion")
    parser.add_argument("--benchmark", required=True, help="humaneval, humaneval_plus, mbpp or mbpp_plus")
    parser.add_argument("--out", type=Path, required=True, help="folder for scores.jsonl and summary.json")
    parser.add_argument("--sandbox", default="auto", choices=("auto", "bubblewrap", "none"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from spa import benchmarks, scoring
    from spa.config import load_benchmark_config

    benchmark = benchmarks.load(load_benchmark_config(arguments.benchmark))
    summary = scoring.score_samples(arguments.samples, benchmark, arguments.out, sandbox=arguments.sandbox)
    for tests in ("base", "plus"):
        if rate := summary[tests]:
            share = f"{rate['n_passed']}/{summary['n_samples']} samples pass"
            print(f"{benchmark.name}, {tests} tests: Pass@1 {rate['pass_at_1']:.4f} ({share})")


if __name__ == "__main__":
    main()
