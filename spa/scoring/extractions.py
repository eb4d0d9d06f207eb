"""Texts -> the solutions that EvalPlus' own pipeline scores: its sanitizer, as released, in a sandbox.

Source: evalplus/codegen.py (0.3.1), which hands `sanitize` a chat model's answer, or a base model's prompt and what
follows it. It tries every stretch of lines, so a text of many lines takes long.
"""

import json
import logging

from tqdm import tqdm

from spa.config import usable_cores
from spa.records import Extracted, Generation, Solution
from spa.results.store import Run
from spa.scoring import expected
from spa.scoring.processes import Lost, Service, exchange
from spa.scoring.sandbox import enclosed, resolve
from spa.tasks.benchmarks import Benchmark

logger = logging.getLogger(__name__)

SECONDS = 600.0  # for one text


def extract(run: Run, benchmark: Benchmark, extraction: str, kind: str, *, sandbox: str) -> None:
    """Write the solutions of those samples that have none by this extraction. The caller holds the run's lock.

    kind: the model's, "chat" or "base". A text that the sanitizer cannot read stays as it is.
    """
    entry_points = {problem.task_id: problem.entry_point for problem in benchmark.problems}
    known = {_place(sample): sample.solution for sample in run.iter_solutions(Solution, extraction)}
    samples = [sample for sample in run.iter_samples(Generation) if sample.task_id in entry_points]
    texts = {_place(sample): _text(sample, kind) for sample in samples}
    todo = list(dict.fromkeys((place[0], text) for place, text in texts.items() if place not in known))
    if not todo:
        return
    messages = [json.dumps({"entry_point": entry_points[task_id], "text": text}).encode() for task_id, text in todo]
    service = Service(enclosed(expected.worker("sanitize"), resolve(sandbox)), tries=1)
    answers = exchange(service, messages, workers=usable_cores(), patience=SECONDS)
    found: dict[tuple[str, str], str] = {}
    for index, answer in tqdm(answers, f"extraction {extraction}", total=len(todo), unit="text"):
        if isinstance(answer, Lost):
            logger.warning("%s: the sanitizer gave up a text (%s), which stays as it is", todo[index][0], answer.cause)
        found[todo[index]] = todo[index][1] if isinstance(answer, Lost) else json.loads(answer)
    run.write_solutions(
        extraction,
        [Extracted(*place, known[place] if place in known else found[place[0], text]) for place, text in texts.items()],
    )


def _place(sample: Generation | Solution) -> tuple[str, float, float]:
    return sample.task_id, sample.omega_lo, sample.omega_hi


def _text(sample: Generation, kind: str) -> str:
    return sample.completion if kind == "chat" else sample.prompt_text + sample.completion
