"""A limit ends what sleeps and what computes, and not what waits for a core."""

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from programs import one_busy_core

from spa.scoring.inside import clock
from spa.scoring.inside.clock import OutOfTimeError, now, time_limit, waited


def compute(seconds: float) -> None:
    """Use the processor for so long, whatever else runs."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture
def busy_core() -> Iterator[None]:
    with one_busy_core():
        yield


@pytest.mark.usefixtures("busy_core")
def test_waiting_for_a_core_does_not_count() -> None:
    wall, start, delay = time.monotonic(), now(), waited()
    with time_limit(0.6):
        compute(0.4)
    assert time.monotonic() - wall > 0.6  # a limit of the wall clock's would have ended it
    assert 0.395 <= now() - start < 0.6  # the two clocks are read one after the other
    assert waited() - delay > 0.2


@pytest.mark.usefixtures("busy_core")
@pytest.mark.parametrize("use", [compute, time.sleep])
def test_computing_and_sleeping_count_also_on_a_busy_core(use: object) -> None:
    assert callable(use)
    start = now()
    with pytest.raises(OutOfTimeError), time_limit(0.2):
        use(60.0)
    assert 0.2 <= now() - start < 0.4


@pytest.mark.parametrize("use", [compute, time.sleep])
def test_what_overruns_is_ended(use: object) -> None:
    assert callable(use)
    start = time.monotonic()
    with pytest.raises(OutOfTimeError), time_limit(0.1):
        use(60.0)
    assert time.monotonic() - start < 30
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_is_in_time_is_not_ended_later() -> None:
    with time_limit(0.05):
        pass
    with pytest.raises(ValueError, match="mine"), time_limit(0.05):
        raise ValueError("mine")
    time.sleep(0.1)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_time_of_another_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        start, wall = now(sleeper.pid), time.monotonic()
        time.sleep(0.1)
        elapsed, passed = now(sleeper.pid) - start, time.monotonic() - wall
        sleeper.kill()
    assert 0.0 < elapsed <= passed + 0.01


def test_without_the_kernels_word_it_is_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(clock.os, "open", absent)
    before = time.monotonic()
    assert before <= now() <= time.monotonic()
