"""Two checkouts in turn: the order of the work, the arithmetic, and going on where a result stopped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from spa.bench import against, against_worker, decoding_worker
from spa.bench.against import HERE, THERE, Work
from spa.errors import SpaError

WORK = (Work("single", 1, 0.2, tasks=5, turn=2), Work("batch", 16, 0, tasks=3, turn=3))
PAIRS = [([number], [0]) for number in range(5)]


class Side:
    """A process that takes a second for each task here and two there, and notes what it is asked."""

    asked: list[tuple[str, int, list[int]]]

    def __init__(self, name: str, folder: Path | None = None, threads: int = 1) -> None:
        self.name = name

    def ask(self, question: str) -> Any:
        kind, _, rest = question.partition(" ")
        if kind == "prompts":
            return PAIRS[: int(rest)]
        asked = json.loads(rest)
        self.asked.append((self.name, asked["batch"], [original[0] for original, _ in asked["pairs"]]))
        tasks = len(asked["pairs"])
        return {"seconds": tasks * {HERE: 1.0, THERE: 2.0}[self.name], "tokens": 10 * tasks}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _two_kinds_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against, "WORK", WORK)
    monkeypatch.setattr(against, "_side", Side)
    monkeypatch.setattr(against, "commit", lambda folder: f"commit of {folder.name}")
    Side.asked = []


def test_they_take_turns() -> None:
    sides: Any = {name: Side(name) for name in (HERE, THERE)}
    took = against.one_round(sides, PAIRS, number=0)
    first, second = (HERE, THERE), (THERE, HERE)
    turns = [(first, 1, [0, 1]), (second, 1, [2, 3]), (first, 1, [4]), (second, 16, [0, 1, 2])]
    assert Side.asked == [(name, batch, tasks) for names, batch, tasks in turns for name in names]
    assert took["single"] == {HERE: {"seconds": 5, "tokens": 50}, THERE: {"seconds": 10, "tokens": 50}}
    Side.asked = []
    against.one_round(sides, PAIRS, number=1)
    assert Side.asked[0] == (THERE, 1, [0, 1])


def test_medians_and_quotients_by_hand() -> None:
    seconds = [(2, 4), (3, 3), (9, 10)]
    rounds = [
        {"single": {HERE: {"seconds": here, "tokens": 7}, THERE: {"seconds": there, "tokens": 8}}}
        for here, there in seconds
    ]
    found = against.summary(WORK[0], rounds)
    assert found["seconds"] == {HERE: 3, THERE: 4}
    assert found["tokens"] == {HERE: 7, THERE: 8}
    assert (found["time here / there"], found["range"]) == (0.9, [0.5, 1])


def results(rounds: int, **more: Any) -> Iterator[dict[str, Any]]:
    return against.compare(Path("/other"), rounds, 1, **more)


def test_a_result_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = results(2)
    assert [len(result["rounds"]) for result in (one, two)] == [1, 2]
    assert list(results(2, before=two)) == []
    (three,) = results(3, before=json.loads(json.dumps(two)))
    assert three["rounds"][:2] == two["rounds"]
    assert [len(result["rounds"]) for result in results(2, before=two | {"threads": 2})] == [1, 2]
    monkeypatch.setattr(against, "commit", lambda folder: "1-dirty")
    changed = two | {"commits": {HERE: "1-dirty", THERE: "1-dirty"}}
    assert [len(result["rounds"]) for result in results(2, before=changed)] == [1, 2]
    text = against.render(three)
    assert " against commit of other, 1 threads, medians of 3 rounds in turn" in text
    assert "0.500" in text


def test_a_limit_bounds_every_work() -> None:
    (result,) = results(1, limit=2)
    assert [work["tokens"] for work in result["work"]] == [{HERE: 20, THERE: 20}] * 2


def test_what_is_no_checkout_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(SpaError, match=r"is no checkout of this repository; make one: git worktree add"):
        against.commit(tmp_path)


def test_a_worker_decodes_to_the_natural_ends(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path, "llama", chat=True, special=["<|endoftext|>"])
    setting = decoding_worker.Setting(0, "cpu", None, "float32", 1, folder=str(folder))
    loaded = decoding_worker._load(setting, True)
    bench = against_worker._bench()
    assert bench is decoding_worker
    pairs = [([5, 6, 7], [5, 0, 7]), ([8, 9], [8, 9])]
    took = against_worker._decode(bench, loaded, {"pairs": pairs, "batch": 2, "omega": 0.2})
    assert 2 <= took["tokens"] <= 2 * decoding_worker.MAX_NEW_TOKENS
    assert took["seconds"] > 0
