"""torch's threads soon sleep while they wait, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from spa.cli import SPINS

COMMANDS = ["run", "plan", "replay", "bench", "attention"]
SHOW = "import os, sys, spa.cli.{command}; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_sets_it_before_torch_is_loaded(command: str) -> None:
    for given, expected in (
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
    ):
        environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
        program = [sys.executable, "-c", SHOW.format(command=command)]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected, "False"]
