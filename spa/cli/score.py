"""Score the runs of results folders in place; or anyone's samples, in evalplus' format, into a folder, with Pass@1.

A samples file has one JSON object a line: task_id, and solution (a whole program) or completion (what follows the
prompt). A folder of programs will do too: DIR/HumanEval_0/0.py. Scored solutions are not scored again.
"""

import argparse
import logging
from pathlib import Path

from spa.errors import one_line_errors
from spa.records import EXTRACTIONS


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results_dir", type=Path, nargs="*", metavar="RESULTS_DIR", help="made with score=false")
    parser.add_argument("--samples", type=Path, metavar="X", help="JSONL file, also compressed by gzip, or folder")
    parser.add_argument("--benchmark", help="humaneval, humaneval_plus, mbpp or mbpp_plus")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--compare", type=Path, metavar="Y", help="score these too; print flipped tasks and a p-value")
    parser.add_argument(
        "--compare-evalplus", action="store_true", help="then let evalplus score X as well; print where it differs"
    )
    parser.add_argument("--partial", action="store_true", help="score what fits, though tasks are missing or unknown")
    parser.add_argument(
        "--extraction",
        choices=EXTRACTIONS,
        help="of the runs' texts; evalplus: also what its sanitizer takes from them",
    )
    parser.add_argument("--sandbox", default="auto", help="auto (default), bubblewrap, apptainer:IMAGE or none")
    options = parser.parse_args()
    if bool(options.results_dir) == bool(options.samples and options.benchmark and options.out):
        parser.error("give results folders, or else --samples, --benchmark and --out")
    if options.extraction and options.samples:
        parser.error("--extraction is for results folders; evalplus.sanitize makes samples files of such programs")
    if options.compare_evalplus and not options.samples:
        parser.error("--compare-evalplus needs --samples")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from spa import config
    from spa.results import store
    from spa.scoring import external_samples, verdicts
    from spa.tasks import benchmarks

    if options.results_dir:
        for line in verdicts.judge_results(
            store.find_results(options.results_dir), sandbox=options.sandbox, extraction=options.extraction
        ):
            print(line)
        return
    benchmark = benchmarks.load(config.load_benchmark_config(options.benchmark))
    how = {"sandbox": options.sandbox, "partial": options.partial, "compare": options.compare}
    summary = external_samples.score_samples(options.samples, benchmark, options.out, **how)
    print(external_samples.render(summary))
    if options.compare_evalplus:
        from spa.bench import scorers

        scorer_id = summary["scoring"]["scorer_id"]
        print(scorers.beside_evalplus(options.samples, benchmark, options.out, scorer_id, options.sandbox))
