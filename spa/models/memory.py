"""How much memory is free, what a model takes of it, and how many lanes fit beside that."""

import gc
import resource
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from spa.config import LOADING, MOST_LANES, QUANTIZED_BYTES
from spa.decoding.cpu import memory
from spa.errors import SpaError

GIB = 2.0**30
# Of a control group: its limit, what it uses, and what of that is read from files and can be read again.
GROUPS = {  # by the kind's name in /proc/self/cgroup
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


@contextmanager
def converting(applies: bool) -> Iterator[None]:
    """While a model is loaded for a CPU, where that applies, freed memory goes back; afterwards it is kept and used."""
    applies = applies and not torch.cuda.is_available()
    if applies:
        memory.return_blocks()
    try:
        yield
    finally:
        if applies:
            memory.keep_blocks()


def let_go() -> None:
    """Return the memory of objects that hold each other: a model, or what was parsed of a GGUF file."""
    gc.collect()
    memory.give_back()


def free(devices: Iterable[torch.device]) -> int:
    """Bytes that this process may still take of these GPUs; without one, of main memory, as far as limits let it."""
    if gpus := {device for device in devices if device.type == "cuda"}:
        return sum(torch.cuda.mem_get_info(device)[0] for device in gpus)
    left = [psutil.virtual_memory().available, *left_in_groups()]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        left.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(left))


def left_in_groups(own: str | None = None, mounted: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What the control groups of this process leave it, a batch job's for one; own: what /proc/self/cgroup says."""
    try:
        lines = (Path("/proc/self/cgroup").read_text() if own is None else own).splitlines()
    except OSError:  # not on Linux
        return []
    found = []
    for _, kind, name in (line.split(":", 2) for line in lines):
        if kind in GROUPS:
            folder, *files = GROUPS[kind]
            group = mounted / folder / name.strip("/")
            found += [_left(each, *files) for each in (group, *group.parents) if each.is_relative_to(mounted / folder)]
    return [left for left in found if left is not None]


def _left(group: Path, limit: str, used: str, cached: str) -> int | None:
    try:
        most, now = (group / limit).read_text().strip(), int((group / used).read_text())
        again = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # a group above this process' own view has none
        return None
    return None if most == "max" else int(most) - now + int(again.get(cached, 0))


def check_fits(outline: Any, devices: Collection[torch.device], name: str, dtype: str, quantization: str) -> None:
    """Raise a SpaError with the numbers where a model does not fit into what is free; outline: it without its weights.

    In main memory one weight lies there twice while it is converted.
    """
    sizes = [weight.numel() for weight in outline.parameters()]
    each = QUANTIZED_BYTES.get(quantization, getattr(torch, dtype).itemsize)
    weights, spare = sum(sizes) * each, 0.0
    if all(device.type == "cpu" for device in devices):
        spare = max(sizes) * each + (LOADING - 1) * weights
    if weights + spare > (left := free(devices)):
        raise SpaError(
            f"{name} needs {(weights + spare) / GIB:.1f} GiB to load ({weights / GIB:.1f} GiB of weights, {dtype}"
            f"{'' if quantization == 'none' else f', {quantization}'}), and {left / GIB:.1f} GiB are free; take "
            "dtype=bfloat16, a smaller model or more memory"
        )


def fitting_lanes(model: Any, tokens: int) -> int:
    """Lanes of two rows of `tokens` tokens whose cache and logits fill half of the memory that is free now."""
    width = model.config.get_text_config().vocab_size
    row = tokens * _state_bytes(model) + width * 5 * 8  # logits and lines in float64
    devices = {weight.device for weight in model.parameters()}
    return max(1, min(MOST_LANES, int(free(devices) / 2 / (2 * row))))


@torch.inference_mode()
def _state_bytes(model: Any) -> int:
    """What the cache keeps of one token, seen on one token: layers may share it, keys and values differ in size."""
    tokens = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    layers = model(tokens, use_cache=True, logits_to_keep=1).past_key_values.layers
    return sum(states.nbytes for layer in layers for states in (layer.keys, layer.values) if states is not None)
