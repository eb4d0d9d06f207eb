"""Every model type of transformers, tiny and random, beside its own decoding: half an hour on two cores."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/bench/architectures.json"), help="the JSON result")
    options = parser.parse_args()
    from spa.bench import architectures
    from spa.results.files import write_atomically

    outcomes = list(architectures.attempt_all())
    write_atomically(options.out, architectures.to_json(outcomes))
    for outcome in outcomes:
        if outcome.verdict != "equal":
            print(f"{outcome.name}: {outcome.verdict} ({outcome.note})")
    counts = Counter(outcome.verdict for outcome in outcomes)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()), options.out, sep="\n")
    if counts["wrong"] or counts["crash"] or counts["not built"] > architectures.MOST_UNBUILT:
        sys.exit(1)
