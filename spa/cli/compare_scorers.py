"""Our scorer beside evalplus as it is released, on the same samples: times, ratios, and verdicts that differ."""

import argparse
import json
import logging
from pathlib import Path

from spa.errors import one_line_errors

SAMPLES = """a file or folder in evalplus' format, of all tasks or some; or `canonical`, the benchmark's own solutions;
or `mutants`, these with one operator changed"""


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", required=True, help=SAMPLES)
    parser.add_argument("--benchmark", required=True, help="humaneval, humaneval_plus, mbpp or mbpp_plus")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of which the median (default 3)")
    parser.add_argument("--version", type=Path, metavar="DIR", help="a checkout of this project, to compare with too")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the JSON result")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from spa.bench import scorers
    from spa.config import load_benchmark_config
    from spa.results.files import write_atomically
    from spa.tasks import benchmarks

    benchmark = benchmarks.load(load_benchmark_config(options.benchmark))
    requests = scorers.read(options.samples, benchmark)
    compared = scorers.compare(requests, benchmark, options.rounds, options.version)
    result = {"samples": Path(options.samples).name, **compared}
    path = options.out / f"scorers-{benchmark.name}-{Path(options.samples).stem}.json"
    write_atomically(path, json.dumps(result, indent=1) + "\n")
    print(f"{scorers.render(result)}\n\n{path}")
