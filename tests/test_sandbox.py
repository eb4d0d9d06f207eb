"""The sandbox keeps code in, and messages get through whatever the processes do."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from spa import sandbox
from spa.errors import SpaError
from spa.sandbox import Lost, command, environment, exchange, python, resolve, self_test

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

Bwrap = Callable[[str], None]


@pytest.fixture
def bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bwrap:
    """Makes a shell script the only `bwrap`, or removes it."""

    def install(script: str) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        if script:
            (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bwrap").chmod(0o755)

    return install


def run(code: str, **folders: list[Path]) -> str:
    """What a Python program prints in the sandbox."""
    argv = command(python("-c", code), **folders)
    return subprocess.run(argv, env=environment(), check=True, capture_output=True, text=True).stdout.strip()


def processes_with(marker: str) -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return [line for line in lines if marker.encode() in line]


def test_resolve_takes_bubblewrap_where_it_works() -> None:
    assert resolve("auto") == resolve("bubblewrap") == "bubblewrap"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [("", "apt-get install bubblewrap"), ("echo no namespaces >&2; exit 1", "does not start (no namespaces)")],
)
def test_resolve_without_bubblewrap(
    bwrap: Bwrap, caplog: pytest.LogCaptureFixture, script: str, complaint: str
) -> None:
    bwrap(script)
    with pytest.raises(SpaError) as refusal:
        resolve("bubblewrap")
    assert complaint in str(refusal.value)
    assert resolve("auto") == "none"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "WITHOUT a sandbox" in record.getMessage()
    assert complaint in record.getMessage()


def test_resolve_none_warns_and_refuses_other_words(caplog: pytest.LogCaptureFixture) -> None:
    assert resolve("none") == "none"
    assert len(caplog.records) == 1
    with pytest.raises(SpaError, match=r"sandbox=docker is unknown; take one of: auto, bubblewrap, none"):
        resolve("docker")


def probes() -> list[Path]:
    """What a self-test of this process left behind."""
    folders = (Path.home(), Path(sandbox.__file__).parent)
    return [file for folder in folders for file in folder.glob(f".spa-probe-{os.getpid()}")]


def test_self_test_passes_and_leaves_nothing() -> None:
    self_test()
    assert probes() == []


@pytest.mark.parametrize(("patience", "complaint"), [(30.0, "code gets out"), (1.0, "outlived its sandbox")])
def test_self_test_notices_that_there_is_no_sandbox(
    monkeypatch: pytest.MonkeyPatch, patience: float, complaint: str
) -> None:
    monkeypatch.setattr(sandbox, "command", lambda argv: argv)
    monkeypatch.setattr(sandbox, "PROBE", sandbox.PROBE.replace("time.sleep(600)", "time.sleep(2)"))
    monkeypatch.setattr(sandbox, "PROBE_SECONDS", patience)
    with pytest.raises(SpaError, match=complaint):
        self_test()
    assert probes() == []


def test_folders_are_hidden_and_put_back(tmp_path: Path) -> None:
    (tmp_path / "results" / "tests").mkdir(parents=True)
    (tmp_path / "results" / "scores.jsonl").write_text("secret")
    (tmp_path / "results" / "tests" / "data").write_text("given")
    code = f"import os; print(sorted(os.listdir({str(tmp_path / 'results')!r})), os.listdir('/run'))"
    folders = {"hidden": [tmp_path / "results"], "readonly": [tmp_path / "results" / "tests"]}
    assert run(code, **folders) == "['tests'] []"
    assert run(f"print(open({str(tmp_path / 'results' / 'tests' / 'data')!r}).read())", **folders) == "given"


def test_a_hidden_folder_wins_over_the_visible_one_around_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scores.jsonl").touch()
    code = f"import os; print(os.listdir({str(tmp_path / 'results')!r}))"
    assert run(code, readonly=[tmp_path], hidden=[tmp_path / "results"]) == "[]"


def test_a_symlink_inside_a_hidden_folder_stays_usable(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3.11.7").mkdir(parents=True)
    (tmp_path / "versions" / "3.11.7" / "data").write_text("given")
    link = tmp_path / "versions" / "3.11"
    link.symlink_to("3.11.7")
    assert run(f"print(open({str(link / 'data')!r}).read())", readonly=[link]) == "given"


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/core_pattern", "/proc/self/oom_score_adj", "/sys/kernel/uevent_helper"]
)
def test_the_kernel_cannot_be_told_anything(path: str) -> None:
    code = f"import os\ntry:\n    os.open({path!r}, os.O_WRONLY)\nexcept OSError as error:\n    print('refused')"
    assert run(code) == "refused"


def test_only_named_variables_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    seen = json.loads(run("import json, os, sys; print(json.dumps([dict(os.environ), sys.flags.optimize]))"))
    assert seen[1] == 0
    assert set(seen[0]) <= {*sandbox.ENVIRONMENT, *sandbox.ONE_THREAD, "PWD", "LC_CTYPE"}


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_exchange_answers_every_message_whatever_happens_to_others(mode: str) -> None:
    messages = [b"a", b"die", b"b", b"fail", b"hang", b"c", b"d"]
    answers = dict(exchange(python("-c", ECHO), messages, mode=mode, workers=2, patience=0.6))
    assert [answers[index] for index in (0, 2, 5, 6)] == [b"A", b"B", b"C", b"D"]
    assert answers[1] == Lost(silent=False, last_words="")
    assert answers[3] == Lost(silent=False, last_words="ValueError: no luck")
    assert answers[4] == Lost(silent=True, last_words="")
    assert len(answers) == 7


def test_exchange_of_nothing_starts_nothing() -> None:
    assert list(exchange(["/does/not/exist"], [], mode="none", workers=4, patience=1)) == []


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_a_process_that_cannot_start_is_an_error(mode: str) -> None:
    with pytest.raises(SpaError, match=r"did not start \(ModuleNotFoundError: No module named 'nowhere'\)"):
        list(exchange(python("-c", "import nowhere"), [b"a"], mode=mode, workers=2, patience=1))


@pytest.mark.parametrize("mode", ["bubblewrap", "none"])
def test_an_abandoned_exchange_leaves_no_process(mode: str) -> None:
    marker = f"marker{os.getpid()}{mode}"
    answers = exchange(python("-c", ECHO, marker), [b"a", b"hang"], mode=mode, workers=2, patience=60)
    assert next(answers) == (0, b"A")
    assert processes_with(marker)
    answers.close()
    assert not processes_with(marker)


def test_a_killed_owner_leaves_no_process() -> None:
    marker = f"marker{os.getpid()}owner"
    code = f"""
from spa.sandbox import exchange, python
for answer in exchange(python("-c", {ECHO!r}, {marker!r}), [b"a", b"hang"], mode="bubblewrap", workers=2, patience=60):
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
