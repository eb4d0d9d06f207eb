"""Decoding speed, side by side: transformers' generate and guidance, the authors' package, and our engine."""

import argparse
from pathlib import Path

from spa.config import usable_cores
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=24, help="HumanEval tasks (default 24)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, of which the median (default 5)")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="CPU threads (default: all usable)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", metavar="MODEL", help="random weights of this Llama's shape instead")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32, on cuda bfloat16"
    )
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the JSON result")
    arguments = parser.parse_args()
    from spa.bench import decoding
    from spa.results import speed

    dtype = arguments.dtype or {"cpu": "float32", "cuda": "bfloat16"}[arguments.device]
    setting = speed.Setting(arguments.tasks, arguments.device, arguments.shape, dtype, arguments.threads)
    result = decoding.compare(setting, arguments.rounds)
    name = f"{arguments.device}-{arguments.shape or 'smollm2'}-{dtype}"
    path = arguments.out / f"{name}.json"
    speed.write(path, result)
    print(f"{decoding.render(result)}\n\n{path}")
