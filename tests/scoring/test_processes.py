"""Messages get through whatever the processes do, and no process outlives the work."""

import os
import signal
import subprocess
import sys
import time

import pytest
from programs import processes_with

from spa.errors import SpaError
from spa.scoring import processes
from spa.scoring.processes import Ask, Job, Lost, Service, converse, exchange
from spa.scoring.sandbox import enclosed, python

# Answers a message with itself in capitals. "die", "fail" and "hang" are done, not answered.
ECHO = """
import os, sys, time
from multiprocessing.connection import Connection
channel = Connection(0)
channel.send_bytes(b"")
while True:
    message = channel.recv_bytes()
    if message == b"die":
        os._exit(1)
    if message == b"fail":
        raise ValueError("no luck")
    if message == b"hang":
        time.sleep(600)
    channel.send_bytes(message.upper())
"""
READY = "import os; os.write(1, bytes(4)); os.read(0, 9)\n"


def service(mode: str, code: str, *arguments: str) -> Service:
    return Service(enclosed(python("-c", code, *arguments), mode))


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_exchange_answers_every_message_whatever_happens_to_others(mode: str) -> None:
    messages = [b"a", b"die", b"b", b"fail", b"hang", b"c", b"d"]
    answers = dict(exchange(service(mode, ECHO), messages, workers=2, patience=0.6))
    assert [answers[index] for index in (0, 2, 5, 6)] == [b"A", b"B", b"C", b"D"]
    assert answers[1] == Lost("ended")
    assert answers[3] == Lost("ended", "ValueError: no luck")
    assert answers[4] == Lost("silent")
    assert len(answers) == 7


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_where_memory_runs_out_a_sandbox_goes_first(mode: str) -> None:
    score = ECHO.replace("message.upper()", 'open("/proc/self/oom_score_adj", "rb").read()')
    ((_, answer),) = exchange(service(mode, score), [b"a"], workers=1, patience=60)
    assert answer == b"1000\n"


def test_exchange_of_nothing_starts_nothing() -> None:
    assert list(exchange(Service(("/does/not/exist",)), [], workers=4, patience=1)) == []


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_a_process_that_cannot_start_is_an_error(mode: str) -> None:
    with pytest.raises(SpaError, match=r"did not start \(ModuleNotFoundError: No module named 'nowhere'\)"):
        list(exchange(service(mode, "import nowhere"), [b"a"], workers=2, patience=1))


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_an_abandoned_exchange_leaves_no_process(mode: str) -> None:
    marker = f"marker{os.getpid()}{mode}"
    answers = exchange(service(mode, ECHO, marker), [b"a", b"hang"], workers=2, patience=60)
    assert next(answers) == (0, b"A")
    assert processes_with(marker)
    answers.close()
    assert not processes_with(marker)


def test_a_killed_owner_leaves_no_process() -> None:
    marker = f"marker{os.getpid()}owner"
    code = f"""
from spa.scoring.sandbox import enclosed, python
from spa.scoring.processes import Service, exchange
service = Service(enclosed(python("-c", {ECHO!r}, {marker!r}), "bubblewrap"))
for answer in exchange(service, [b"a", b"hang"], workers=2, patience=60):
    print(answer, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while processes_with(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_with(marker)


def test_an_answer_may_be_all_that_a_process_writes() -> None:
    code = READY + "for part in (b'x' * 10**6, str(os.getpid()).encode()): os.write(1, part)"
    single = Service(tuple(python("-c", code)), lasting=False)
    answers = dict(exchange(single, [b"a", b"b", b"c"], workers=2, patience=60))
    pids = {bytes(answer[10**6 :]) for answer in answers.values() if not isinstance(answer, Lost)}
    assert len(pids) == 3  # a process each


def test_a_job_goes_from_service_to_service() -> None:
    loud, twice = service("none", ECHO), service("none", ECHO.replace("message.upper()", "message * 2"))

    def job(word: bytes) -> Job[bytes]:
        first = yield Ask(loud, word, 60)
        assert isinstance(first, bytes)
        second = yield Ask(twice, first, 60)
        assert isinstance(second, bytes)
        return second

    assert sorted(converse(map(job, [b"a", b"b", b"c"]), workers=2)) == [b"AA", b"BB", b"CC"]


def test_jobs_begin_when_there_is_a_worker() -> None:
    begun = []

    def job(number: int) -> Job[int]:
        begun.append(number)
        yield Ask(service("none", ECHO), b"a", 60)
        return number

    for finished in converse(map(job, range(4)), workers=1):
        assert begun == list(range(finished + 1))


BOMB = """
import os, time
for _ in range({n}):
    if os.fork() == 0:
        time.sleep(600)
time.sleep(600)
"""
CROWD = """
import threading, time
for _ in range({n}):
    threading.Thread(target=time.sleep, args=(600,)).start()
time.sleep(600)
"""
HOG = "held = [b'x' * 10**7 for _ in range({n})]; import time; time.sleep(600)"
BABBLE = "import os\nwhile True: os.write(1, bytes.fromhex('7fffffff') + b'x' * 10**6)"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (BOMB.format(n=30), "processes"),
        (CROWD.format(n=50), "processes"),
        (HOG.format(n=20), "memory"),
        (BABBLE, "output"),
    ],
)
def test_a_sandbox_that_takes_too_much_is_ended(monkeypatch: pytest.MonkeyPatch, code: str, cause: str) -> None:
    monkeypatch.setattr(processes, "SANDBOX_PROCESSES", 16)
    monkeypatch.setattr(processes, "SANDBOX_THREADS", 40)
    monkeypatch.setattr(processes, "SANDBOX_BYTES", 10**8)
    monkeypatch.setattr(processes, "ANSWER_BYTES", 10**7)
    marker = f"marker{os.getpid()}{cause}"
    greedy = service("bubblewrap", READY + code, marker)
    ((_, answer),) = exchange(greedy, [b"a"], workers=1, patience=60)
    assert isinstance(answer, Lost)
    assert answer.cause == cause
    assert not processes_with(marker)


def test_a_process_that_ended_while_idle_harms_no_message() -> None:
    """One that finds its sandbox changed ends after its answer; two of them may be idle at once."""
    once = ECHO.replace("channel.send_bytes(message.upper())", "channel.send_bytes(message.upper()); sys.exit()")
    messages = [bytes([letter]) for letter in b"abcdefgh"]
    answers = dict(exchange(service("bubblewrap", once), messages, workers=2, patience=60))
    assert [answers[index] for index in range(8)] == [message.upper() for message in messages]
