"""One side of `against`: decodes what it is asked to, by the `spa` that PYTHONPATH names, of whatever commit.

Run as a file, and beside the standard library it knows only what the commits have in common: the worker of their
decoding benchmark, under either name. Lines in, lines of JSON out:

    ready
    prompts N           both prompts of the first N tasks of HumanEval
    decode {"pairs", "batch", "omega"}      the seconds that their texts took, to their natural ends, and their tokens
"""

import gc
import importlib
import json
import os
import sys
import time
from typing import Any


def _bench() -> Any:
    try:
        return importlib.import_module("spa.bench.decoding_worker")
    except ModuleNotFoundError:  # before there were rooms
        return importlib.import_module("spa.bench_worker")


def _decode(bench: Any, loaded: Any, asked: dict[str, Any]) -> dict[str, float]:
    gc.collect()
    engine = bench.Engine(loaded.model, loaded.eos_ids, loaded.tokenizer.decode, asked["batch"])
    omegas = bench.omega.parse(asked["omega"])
    requests = [
        bench.Request(str(number), *pair, omegas, bench.ClosedBlock(), bench.MAX_NEW_TOKENS)
        for number, pair in enumerate(asked["pairs"])
    ]
    started = time.perf_counter()
    tokens = sum(len(text.completion_ids) for text in engine.decode(requests))
    return {"seconds": time.perf_counter() - started, "tokens": tokens}


def serve(threads: int) -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    bench = _bench()
    bench.torch.set_num_threads(threads)
    loaded = bench._load(bench.Setting(0, "cpu", None, "float32", threads), True)
    for line in sys.stdin:
        question, _, rest = line.partition(" ")
        if question == "decode":
            answer: Any = _decode(bench, loaded, json.loads(rest))
        elif question == "prompts":
            answer = bench._pairs(bench.Setting(int(rest), "cpu", None, "float32", threads), loaded)
        else:
            answer = {"code": bench.__file__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
