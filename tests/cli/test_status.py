"""Every state of a run and of a sweep, told from the files, and what a terminal and a pipe are shown."""

import os
import pty
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from rich.console import Console
from synthetic import generation, grid_with_plus, interval, points, score, write_run

from spa.cli.standing import Row, look
from spa.cli.status import _duration, rendered
from spa.results.store import Results, Run

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "status.py"

HOLD = """
import sys
from pathlib import Path
from spa.results.store import Run
with Run(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Another process works on the run; it is killed at the end, as the system kills one."""
    command = [sys.executable, "-c", HOLD, str(run.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield
        finally:
            holder.kill()


def row(folder: Path, key: str = "k") -> Row:
    (found,) = [row for row in look([Results(folder)]).rows if row.folder.name == key]
    return found


def shown(folder: Path) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(rendered(look([Results(folder)])))
    return capture.get()


def test_states_after_the_jobs(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    interval(tmp_path, status="running", tasks_done=1)
    write_run(tmp_path, "died", {"A": points("p", "")}, n_tasks=5, status="failed", error="out of memory")
    write_run(tmp_path, "raw", {"A": points("", "")}, scoring=None)
    Results(tmp_path).run("loading").folder.mkdir()
    standing = look([Results(tmp_path)])
    assert [(row.folder.name, row.state, row.done, row.total, row.scored) for row in standing.rows] == [
        ("died", "failed", 1, 5, 1),
        ("interval", "interrupted", pytest.approx(3), 3, 8),
        ("loading", "interrupted", 0, 0, 0),
        ("raw", "not scored", 1, 1, 0),
        ("grid", "complete", 4, 4, 12),
    ]
    assert standing.counts == {"failed": 1, "interrupted": 2, "not scored": 1, "complete": 1}
    assert [row.error for row in standing.rows] == ["out of memory", "", "", "", ""]
    assert not any(row.owner or row.rate for row in standing.rows)


@pytest.mark.parametrize("manifest", ["complete", "failed", "running"])
def test_who_holds_the_lock_is_running_whatever_the_manifest_says(tmp_path: Path, manifest: str) -> None:
    run = write_run(tmp_path, "k", {"A": points("p", "p")}, n_tasks=2, status=manifest, error="of an earlier job")
    with held(run):
        found = row(tmp_path)
        assert (found.state, found.error) == ("running", "")
        assert found.owner
        with pytest.raises(Exception, match="in use"), run.locked():
            pytest.fail("looking has broken the lock")
    assert row(tmp_path).state == {"complete": "complete", "failed": "failed", "running": "interrupted"}[manifest]


def test_a_run_that_loads_its_model_has_no_manifest_yet(tmp_path: Path) -> None:
    run = Results(tmp_path).run("k")
    run.folder.mkdir(parents=True)
    with held(run):
        assert row(tmp_path).state == "running"
        assert "running" in shown(tmp_path)


def test_rate_and_time_left_of_a_grid(tmp_path: Path) -> None:
    """Of 20 tasks 3 were there when decoding began, 60 seconds ago; 2.5 more are there now."""
    verdicts = {f"T/{number}": points("p", "p", omegas=[0.0, 0.1]) for number in range(5)}
    verdicts["T/5"] = points("p", omegas=[0.0])
    run = write_run(tmp_path, "k", verdicts, n_tasks=20, status="running", omega=[0.0, 0.1], tasks_done=3)
    began = time.time() - 60
    os.utime(run.manifest_path, (began, began))
    with held(run):
        found = row(tmp_path)
    assert (found.done, found.total) == (5.5, 20)
    assert found.rate == pytest.approx(2.5 / 60, rel=0.05)
    assert found.seconds_left == pytest.approx(14.5 / (2.5 / 60), rel=0.05)
    assert row(tmp_path).rate is None, "nobody works on it any more"


def test_rate_of_an_interval(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": [], "B": []}, status="running", omega={"lo": -0.5, "hi": 0.5}, tasks_done=0.0)
    run.append_samples([generation("A", "", -0.5, 0.25), generation("B", "", 0.25, 0.5)])
    began = time.time() - 10
    os.utime(run.manifest_path, (began, began))
    with held(run):
        found = row(tmp_path)
    assert found.done == 1
    assert found.rate == pytest.approx(0.1, rel=0.2)


def test_nothing_added_yet_has_no_rate(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": points("p", "p")}, n_tasks=2, status="running", tasks_done=1.0)
    with held(run):
        assert row(tmp_path).rate is row(tmp_path).seconds_left is None


def test_a_grid_is_counted_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "k", {"A": points("p", "p"), "B": points("p")}, status="running", omega=[0.0, 0.1])
    interval(tmp_path, "done")
    monkeypatch.setattr(Run, "iter_samples", lambda run: pytest.fail(f"{run.key} is read"))
    assert (row(tmp_path).done, row(tmp_path, "done").done) == (1.5, 3)


def test_a_torn_line_does_not_count(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": points("p", "p")}, status="running", omega=[0.0, 0.1])
    with run.samples_path.open("a") as file:
        file.write('{"task_id": "B')
    assert row(tmp_path).done == 1


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not JSON"), ('{"key": "k", "status": "complete"}', "has no field")]
)
def test_a_broken_manifest_spoils_its_own_row_only(tmp_path: Path, content: str, message: str) -> None:
    grid_with_plus(tmp_path)
    write_run(tmp_path, "k", {"A": points("p")}).manifest_path.write_text(content)
    assert row(tmp_path, "grid").state == "complete"
    assert row(tmp_path).state == "failed"
    assert message in row(tmp_path).error


def test_what_a_sweep_has_not_begun_is_missing(tmp_path: Path) -> None:
    """Six cells of two shards each; one was finished before the sweep and skipped in it, one is from elsewhere."""
    results = Results(tmp_path)
    grid_with_plus(tmp_path)
    interval(tmp_path, "of_another_sweep")
    with results.run("of_another_sweep").locked():
        pass
    task = ["experiment=x", "model=a,b,c", "shard=1/2,2/2"]
    kept = {"hydra": {"overrides": {"task": task}, "sweeper": {"params": {"benchmark": "humaneval,mbpp"}}}}
    results.sweep_path.parent.mkdir()
    OmegaConf.save(kept, results.sweep_path)
    later = time.time() + 5
    os.utime(results.sweep_path, (later, later))
    assert look([results]).missing == 6
    with results.run("grid").locked():
        os.utime(results.run("grid").folder / ".lock", (later + 1, later + 1))
    assert look([results]).missing == 5
    assert shown(tmp_path).splitlines()[-1] == "2 complete, 5 missing; 7 of 7 tasks"


# What is shown


def test_a_table_with_errors_and_counts_below(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    write_run(tmp_path, "k", {"A": points("p")}, model="[bold]x", status="failed", error="the disk is [full]")
    heading, first, second, error, counts = (" ".join(line.split()) for line in shown(tmp_path).splitlines())
    assert heading == "run model benchmark anchor mask omega tasks tasks/min left scored state"
    assert first == "k [bold]x HumanEval description per_token 0 1/1 1 failed"
    assert second == "grid Tiny 1M HumanEval+ description per_token 0, 0.1, 0.2 4/4 12 complete"
    assert error == "k failed: the disk is [full]"
    assert counts == "1 failed, 1 complete; 5 of 5 tasks"


def test_durations() -> None:
    assert [_duration(seconds) for seconds in (0.4, 59.6, 3599, 3600, 90061)] == [
        *("0 min 00 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "25 h 01 min")
    ]


def test_of_many_runs_those_that_need_a_look_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spa.cli.status.SHOWN", 2)
    for key in ("a", "b", "c"):
        write_run(tmp_path, key, {"A": points("p")}, model=key)
    write_run(tmp_path, "z", {"A": points("p")}, status="running")
    lines = shown(tmp_path).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["z", "a"]
    assert lines[3:] == ["... and 2 more runs, not shown", "1 interrupted, 3 complete; 4 of 4 tasks"]


def test_a_pipe_gets_plain_text(tmp_path: Path) -> None:
    grid_with_plus(tmp_path / "r")
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""


def test_watching_follows_the_folder_until_ctrl_c(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": points("p", "p")}, n_tasks=7, status="running", omega=[0.0, 0.1])
    terminal, inside = pty.openpty()
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--watch", "--seconds", "0.2"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"}
    with subprocess.Popen(
        command,
        stdout=inside,
        stderr=inside,
        cwd=ROOT,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as watching:
        os.close(inside)
        read_until(terminal, "1/7")
        run.append_samples([generation("B", "", omega, omega) for omega in (0.0, 0.1)])
        run.append_scores([score("B", "", "pass", None)])
        read_until(terminal, "2/7")
        watching.send_signal(signal.SIGINT)
        rest = read_until(terminal, None)
        assert watching.wait(30) == 0
    os.close(terminal)
    assert "Traceback" not in rest


def read_until(terminal: int, text: str | None) -> str:
    """What the terminal shows up to a text, or to its end."""
    seen = b""
    while text is None or text not in seen.decode(errors="replace"):
        try:
            block = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            block = b""
        if not block:
            assert text is None, f"{text} was never shown: {seen!r}"
            break
        seen += block
    return seen.decode(errors="replace")


def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["status.py", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
