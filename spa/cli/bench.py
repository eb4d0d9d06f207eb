"""Decoding speed, side by side: transformers' generate and guidance, the authors' package, llama.cpp, and our engine.

On a new GPU: spa bench --device cuda --shape deepseek_coder_1_3b deepseek_coder_6_7b
With --against, this working tree beside another checkout, in rounds that a later call continues.
"""

import argparse
import json
from pathlib import Path

from spa.config import usable_cores
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, help="HumanEval tasks (default: 24, on cuda 64)")
    parser.add_argument("--rounds", type=int, help="rounds, of which the median (default: 5, on cuda 3)")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="CPU threads (default: all usable)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--shape", metavar="MODEL", nargs="+", default=[None], help="random weights of these Llamas' shapes instead"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32, on cuda bfloat16"
    )
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the JSON results")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare this tree with another commit's")
    parser.add_argument("--limit", type=int, metavar="N", help="with --against: of each work so many tasks at most")
    arguments = parser.parse_args()
    if arguments.against:
        _against(arguments)
        return
    from spa.bench import decoding
    from spa.results import speed

    gpu = arguments.device == "cuda"
    dtype = arguments.dtype or ("bfloat16" if gpu else "float32")
    tasks, rounds = arguments.tasks or (64 if gpu else 24), arguments.rounds or (3 if gpu else 5)
    for shape in arguments.shape:
        result = decoding.compare(speed.Setting(tasks, arguments.device, shape, dtype, arguments.threads), rounds)
        path = arguments.out / f"{arguments.device}-{shape or 'smollm2'}-{dtype}.json"
        speed.write(path, result)
        print(f"{decoding.render(result)}\n\n{path}")


def _against(arguments: argparse.Namespace) -> None:
    from spa.bench import against
    from spa.results.files import write_atomically

    path = arguments.out / f"against-{against.commit(arguments.against)}.json"
    done = json.loads(path.read_bytes()) if path.exists() else None
    rounds = arguments.rounds or 5
    results = against.compare(arguments.against, rounds, arguments.threads, arguments.limit, done)
    for done in results:
        write_atomically(path, json.dumps(done, indent=1) + "\n")
    assert done
    print(f"{against.render(done)}\n\n{path}")
