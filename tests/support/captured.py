"""A stand-in for CUDA graphs: what is recorded may do only what a GPU can replay without the host."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spa.decoding.steps.backends import Outputs

aten = torch.ops.aten
ASKING = {
    aten.item.default,
    aten._local_scalar_dense.default,
    aten.is_nonzero.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
}
OF_THE_HOST = {aten.lift_fresh.default}  # torch.tensor and lists as indices: a copy to the device, which waits

Operation = tuple[str, tuple[tuple[int, ...], ...]]  # its name and the shapes of its tensors


class Watched(TorchDispatchMode):
    """Lists operations; raises where one asks the device for a value, or meets a tensor of the host.

    prepares: inputs may be made on the host and sent to the device.
    """

    def __init__(self, prepares: bool = False) -> None:
        super().__init__()
        self.prepares = prepares
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = _tensors((args, kwargs))
        if not self.prepares and func in ASKING | OF_THE_HOST:
            raise RuntimeError(f"{func} cannot be captured")
        done = func(*args, **(kwargs or {}))
        devices = {tensor.device for tensor in given + ([] if self.prepares else _tensors(done))}
        if len(devices) > 1:
            raise RuntimeError(f"{func} crosses devices")
        self.operations.append((str(func), tuple(tuple(tensor.shape) for tensor in given)))
        return done


def _tensors(tree: Any) -> list[Tensor]:
    return [item for item in tree_leaves(tree) if isinstance(item, Tensor) and item.dim()]


class Recorder:
    """Records by doing the work; replaying does it again, and has to take the same operations on the same shapes."""

    def __init__(self) -> None:
        self.recorded: list[list[Operation]] = []
        self.replayed = 0

    def __call__(self, work: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
        with Watched() as first:
            outputs = work()
        self.recorded.append(first.operations)

        def replay() -> None:
            self.replayed += 1
            with Watched() as again:
                found = work()
            assert again.operations == first.operations
            for kept, new in zip(outputs, found, strict=True):
                kept.copy_(new)

        return replay, outputs
