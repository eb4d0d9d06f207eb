"""The records that travel between the modules, their JSON form, and what each says of itself.

Spans are half-open `(start, end)` character offsets. Token ids are plain integers.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import msgspec

from spa import omega

Submission = tuple[str, str]  # task_id and solution: what is scored
Span = tuple[int, int]


OWN = "spa"
EXTRACTIONS = (OWN, "evalplus")  # how programs are taken from texts: by `tasks.extraction`, by EvalPlus' sanitizer
# What tells verdicts apart in tables and figures: fields of a run's manifest, and the extraction.
SETTINGS = [
    "model",
    "benchmark",
    "anchor",
    "mask",
    "method",
    "profile",
    "template",
    "extraction",
    "dtype",
    "quantization",
]
READING = ["key", "extraction"]  # what tells a run by one extraction from others
# The paper's anchor, that of the control, and the other settings that a run has unless it says otherwise.
ANCHOR, CONTROL = "description", "random"
DEFAULTS = {"mask": "per_token", "method": "spa", "profile": "paper", "extraction": OWN}


def solution_sha(solution: str) -> str:
    """The name under which a solution's verdict is kept."""
    return hashlib.sha256(solution.encode("utf-8", "surrogatepass")).hexdigest()


class Record:
    """A frozen dataclass of JSON's own values that can be written as one line and read back."""

    def to_json(self) -> str:
        return json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read one line; unknown fields are ignored, missing ones and anything but an object raise TypeError.

        msgspec builds no value that the record does not name; json says what is wrong, and reads lone surrogates.
        """
        with suppress(ValueError):
            return msgspec.json.decode(line, type=cls)
        content = json.loads(line)
        if not isinstance(content, dict):
            raise TypeError("not a JSON object")
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in content.items() if name in known})


class OfOmegas(Record):
    """A record of one omega, or of a part of an interval of omegas."""

    omega_lo: float
    omega_hi: float  # equal to omega_lo for one value; else the half-open [lo, hi), closed at the interval's end

    def holds(self, value: float, end: float) -> bool:
        """Whether it is the record of this omega. end: the upper end of the run's whole omega set."""
        return bool(omega.holds(self.omega_lo, self.omega_hi, value, end))


class OfSolution(OfOmegas):
    """A record of a solution, which verdicts can be joined to."""

    task_id: str
    solution: str  # self-contained program: what is scored


@dataclass(frozen=True)
class Problem(Record):
    """One task, in evalplus' columns. Inputs stay in the JSON form of evalplus' files."""

    task_id: str
    family: str  # "humaneval" or "mbpp": decides what an anchor is, when a base model stops, which oracle scores
    prompt: str
    entry_point: str
    canonical_solution: str
    base_input: list[Any]
    plus_input: list[Any] | None  # None where the source has no plus tests
    contract: str
    atol: float


@dataclass(frozen=True)
class PromptPair:
    """A prompt as the model reads it, with and without the anchored text."""

    task_id: str
    prompt_text: str
    anchor_spans: tuple[Span, ...]  # in prompt_text; empty where the task has no such anchor
    original_ids: tuple[int, ...]
    masked_ids: tuple[int, ...]
    masked_positions: tuple[int, ...]  # positions of original_ids that overlap an anchor span
    hidden: tuple[int, ...] = ()  # positions of masked_ids that nothing attends to (mask=attention, mask=package)
    missing_tokens: int = 0  # how many fewer are anchored than should be (anchor=random)
    text_sees_hidden: bool = False  # nothing of the prompt attends to them, but the text does (mask=package)


@dataclass(frozen=True)
class Generation(OfSolution):
    """One decoded text and the omegas that lead to it. A line of samples.jsonl."""

    task_id: str
    solution: str
    omega_lo: float
    omega_hi: float
    raw: str  # the text of completion_ids
    completion: str  # raw after the stop rule's cut, without the prompt
    prompt_text: str
    original_ids: list[int]
    masked_ids: list[int]
    masked_positions: list[int]
    completion_ids: list[int]  # the tokens that the engine chose, without the EOS
    finish_reason: str  # "eos", "stop", "length" or "budget"
    anchor_spans: list[Span]
    seconds: float  # this line's share of the decoding time; the lines of a run sum to its decoding time
    batch_rows: int  # rows of the widest batch that it was decoded in
    missing_tokens: int = 0  # of anchor=random: how many fewer tokens are anchored than the description has


@dataclass(frozen=True)
class Part(OfOmegas):
    """Which omegas a Generation's line is of; reads faster than all of it."""

    task_id: str
    omega_lo: float
    omega_hi: float


@dataclass(frozen=True)
class Solution(OfSolution):
    """What is scored and counted of a Generation's line; reads faster than all of it."""

    task_id: str
    solution: str
    omega_lo: float
    omega_hi: float
    finish_reason: str
    anchor_spans: list[Span]
    missing_tokens: int = 0


@dataclass(frozen=True)
class Extracted(OfSolution):
    """The solution that another extraction takes from a Generation. A line of solutions.<extraction>.jsonl."""

    task_id: str
    omega_lo: float
    omega_hi: float
    solution: str


NOT_PLAIN = "not plain data"  # the reason where an answer's equality is code of the solution, which no one else runs


@dataclass(frozen=True)
class Score(Record):
    """The verdict on one distinct solution. A line of scores.jsonl."""

    task_id: str
    solution_sha: str  # sha256 of the solution's UTF-8 bytes
    base_status: str  # "pass", "fail" or "timeout"
    plus_status: str | None  # likewise; None where there are no plus tests
    reason: str  # passed, or of these: wrong_answer exception timeout memory syntax_error no_entry_point truncated
    #              crashed, and NOT_PLAIN
    seconds: float  # to run and to compare
    scorer_id: str
    base_failed_input: int | None = None  # the first that was not passed; None where none was reached
    plus_failed_input: int | None = None
    retry_seconds: float = 0.0  # of the first try, where the solution timed out and was tried again alone

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read one line; one that an earlier version called suspect did not pass."""
        found = super().from_json(line)
        suspect = b'"suspect": true' if isinstance(line, bytes) else '"suspect": true'
        return replace(found, base_status="fail") if suspect in line else found  # type: ignore[operator]

    def passed(self, tests: str = "plus") -> bool:
        """Whether the solution passed the "base" tests, or these and the "plus" tests where there are any."""
        statuses = [self.base_status] if tests == "base" else [self.base_status, self.plus_status or "pass"]
        return set(statuses) == {"pass"}


@dataclass(frozen=True)
class VisibleScore(Record):
    """How a plain solution does on the tests that its prompt shows. A line of visible.jsonl."""

    task_id: str
    solution_sha: str
    n_tests: int  # 0: the prompt shows none, and nothing was run
    passed: bool  # all of them


@dataclass(frozen=True)
class Measured(Record):
    """Attention along the texts of one task. A line of attention/<key>/tasks.jsonl.

    Rows are in the columns of shares.csv and approximation.csv, without the task's id.
    """

    task_id: str
    shares: list[list[Any]]
    approximation: list[list[Any]]
