"""Memory in a process of its own: what was freed is used again, what is only reserved takes none."""

import json
import os
import subprocess
import sys

import pytest
import torch

from spa.decoding.cpu import memory

FAULTS = """
import json, resource, sys
from spa.decoding.cpu import memory
if sys.argv[1] == "kept":
    memory.keep_blocks()
import torch
faults = []
for _ in range(20):
    torch.ones(50_000_000 // 4)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
memory.give_back()
print(json.dumps([later - earlier for earlier, later in zip(faults[9:], faults[10:])]))
"""
RESERVED = """
import psutil, torch
from spa.decoding.cpu import memory
process = psutil.Process()
before = process.memory_info().rss
reserved = memory.zeros((2**10, 2**20), torch.float32)
reserved[0] = 1
assert reserved[0].sum() == 2**20
assert reserved[5, 7] == 0
print(process.memory_info().rss - before)
"""


def run(script: str, *arguments: str) -> str:
    """What the script prints, without what this process has set for itself."""
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_freed_blocks_are_used_again() -> None:
    assert max(json.loads(run(FAULTS, "kept"))) < 100
    assert min(json.loads(run(FAULTS, "not kept"))) > 10_000, "the system would keep them anyway"


def test_what_is_not_touched_takes_no_memory() -> None:
    assert int(run(RESERVED)) < 100 * 2**20  # of 4 GiB, 4 MiB were touched


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_zeros_are_like_any_tensor(dtype: torch.dtype) -> None:
    zeros = memory.zeros((2, 3, 5), dtype)
    assert torch.equal(zeros, torch.zeros(2, 3, 5, dtype=dtype))
    zeros[1, 2] += 1
    assert zeros.sum() == 5


def test_more_than_there_is_is_torchs_error() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="can't allocate memory: 4611686018427387904 bytes"):
        memory.zeros((2**60,), torch.float32)
