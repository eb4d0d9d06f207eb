"""How a CPU's memory is taken for tensors, and kept.

A forward pass allocates the result of every operation, megabytes at a time. glibc returns such blocks to the system
when they are freed, which clears every page for the next one; and in pages of 4 KiB the addresses of a model's weights
and cache exceed what a core remembers. Blocks that are kept and huge pages took 11% to 15% off the time of decoding
(SmolLM2, float32, 24 tasks, one omega and an interval, two cores). Elsewhere than on Linux with glibc all this does
nothing.
"""

import ctypes
import math
import mmap
import os

import torch
from torch import Tensor

# Parameters of mallopt(3).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
NEVER = -1
LARGE = 2**17  # bytes
KEPT = 2**30  # bytes; blocks that are larger still go back to the system


def return_blocks() -> None:
    """While a model is converted: large blocks go back to the system when they are freed.

    For the rest of this process torch takes large ones in huge pages. It looks at its variable once, at the process's
    first tensor.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    _set(M_MMAP_THRESHOLD, LARGE)


def keep_blocks() -> None:
    """For the rest of this process: freed blocks stay with it."""
    _set(M_MMAP_THRESHOLD, KEPT)
    _set(M_TRIM_THRESHOLD, NEVER)


def _set(parameter: int, value: int) -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(parameter, value)


def give_back() -> None:
    """Return what is free to the system."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros fresh from the system, which clears what is touched: gigabytes that are reserved cost nothing.

    Where it grants no more, the error is torch's.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = mmap.mmap(-1, size)
    except OSError as error:
        raise torch.OutOfMemoryError(f"can't allocate memory: {size} bytes ({error})") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
