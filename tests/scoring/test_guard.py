"""A solution finds what it finds in evalplus' process."""

import json
import resource
import subprocess
import sys

import pytest

from spa.config import PACKAGE
from spa.scoring.inside import guard

TAKEN = """
import builtins, json, os, shutil, subprocess, sys
modules = {"builtins": builtins, "os": os, "shutil": shutil, "subprocess": subprocess}
before = {name: {each for each in dir(module) if getattr(module, each) is None} for name, module in modules.items()}
write, dumps = os.write, json.dumps
{take_away}
found = {
    name: sorted(each for each in dir(module) if getattr(module, each) is None and each not in before[name])
    for name, module in modules.items()
}
found["modules"] = sorted(name for name, module in sys.modules.items() if module is None)
found["threads"] = os.environ["OMP_NUM_THREADS"]
write(1, dumps(found).encode())
"""
EVALPLUS = "from evalplus.eval.utils import reliability_guard; reliability_guard()"
OURS = "from spa.scoring.inside import guard; guard.bring('import os, shutil, subprocess'); guard.take_away()"


def taken(take_away: str) -> dict[str, list[str]]:
    program = TAKEN.replace("{take_away}", take_away)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=PACKAGE.parent)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_what_evalplus_takes_away_is_taken_away() -> None:
    ours, theirs = taken(OURS), taken(EVALPLUS)
    theirs["modules"] = [name for name in theirs["modules"] if name in guard.FORBIDDEN_MODULES]
    ours["modules"] = [name for name in ours["modules"] if name in guard.FORBIDDEN_MODULES]
    assert ours == theirs
    assert len(ours["modules"]) == len(guard.FORBIDDEN_MODULES)
    assert sum(len(names) for module, names in ours.items() if module in guard.FORBIDDEN) > 30


def test_modules_that_a_solution_does_not_name_are_not_imported_for_it() -> None:
    program = f"""
import sys
sys.path.append({str(PACKAGE.parent)!r})
from spa.scoring.inside import guard
guard.bring("x = 1")
guard.take_away()
assert "shutil" not in sys.modules
import shutil, subprocess
assert shutil.rmtree is subprocess.Popen is None
assert shutil.copy and subprocess.run
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


def test_streams_take_what_is_written_and_refuse_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # to be put back
    guard.streams()
    sys.stderr.write("x")
    with pytest.raises(OSError, match="nothing to read"):
        input()
    with pytest.raises(OSError, match="nothing to read"):
        next(iter(sys.stdin))
    assert not sys.stdin.readable()


def test_limits_adapt_to_hard_ones_and_can_be_raised_again() -> None:
    program = f"""
import resource, sys
sys.path.append({str(PACKAGE.parent)!r})
from spa.scoring.inside import guard
kind = resource.RLIMIT_AS
resource.setrlimit(kind, (2**33, 2**33))
guard.limit(2**32, [kind])
assert resource.getrlimit(kind) == (2**32, 2**33)
guard.limit(2**34, [kind])
assert resource.getrlimit(kind) == (2**33, 2**33)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert guard.MEMORY_BYTES == 4 * 2**30
    assert resource.RLIMIT_AS in guard.MEMORY_LIMITS
