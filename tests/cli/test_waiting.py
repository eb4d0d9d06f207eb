"""torch's threads sleep while they wait, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

COMMANDS = ["run", "plan", "replay", "bench", "attention"]
SHOW = "import os, sys, spa.cli.{command}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_sets_it_before_torch_is_loaded(command: str) -> None:
    for given, expected in ((None, "passive"), ("active", "active")):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
        program = [sys.executable, "-c", SHOW.format(command=command)]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected, "False"]
