"""How steps are run: as they are written, captured as a CUDA graph and replayed, or compiled.

A step that is captured or compiled is so for each of its shapes, which are few; see `spa.decoding.steps.shapes`.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from spa.decoding.sharing import ALL, Sharing
from spa.decoding.steps.shapes import Shape, Shapes
from spa.decoding.steps.step import Inputs, Step
from spa.errors import SpaError

log = logging.getLogger(__name__)

MOST_SHAPES = 1000  # more than occur; torch.compile would give up after 8

Outputs = tuple[Tensor, Tensor]  # of a step: ends and logits
Replay = Callable[[], None]
Recorder = Callable[[Callable[[], Outputs]], tuple[Replay, Outputs]]  # what is written anew by each replay


class Backend(Protocol):
    """Runs the steps of one cache."""

    def run(self, shape: Shape, inputs: Inputs) -> Outputs:
        """Start a step with inputs of the host; what it gives lies on the device, and stays as it is."""


class Eager:
    """Runs a step as it is written."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def run(self, shape: Shape, inputs: Inputs) -> Outputs:
        return self.step(shape, inputs.to(self.step.model.device))


class Compiled:
    """Runs a step by torch.compile, whole, once for each shape. Its results may differ in the last bits."""

    def __init__(self, step: Step, compiler: Any = "inductor") -> None:
        self.step = step
        self.compiled = torch.compile(step, backend=compiler, fullgraph=True, dynamic=False)

    def run(self, shape: Shape, inputs: Inputs) -> Outputs:
        with torch._dynamo.config.patch(recompile_limit=MOST_SHAPES):
            outputs: Outputs = self.compiled(shape, inputs.to(self.step.model.device))
        return outputs


class Captured:
    """Captures a step at the first use of its shape, and replays it from then on.

    Where that fails, steps run as they are written.
    """

    def __init__(self, step: Step, record: Recorder) -> None:
        self.step = step
        self.record = record
        self.recorded: dict[Shape, tuple[Inputs, Replay, Outputs]] = {}
        self.fails = False

    def run(self, shape: Shape, inputs: Inputs) -> Outputs:
        if shape not in self.recorded and not self.fails:
            self._record(shape, inputs)
        if self.fails:
            return self.step(shape, inputs.to(self.step.model.device))
        own, replay, (ends, logits) = self.recorded[shape]
        own.copy_(inputs)
        replay()
        return ends.clone(), logits.clone()  # the next replay writes there

    def _record(self, shape: Shape, inputs: Inputs) -> None:
        own = inputs.to(self.step.model.device)
        chosen = self.step.chosen.clone()  # recording runs the step as well
        try:
            self.recorded[shape] = (own, *self.record(lambda: self.step(shape, own)))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            log.warning(
                "a step of this model cannot be captured (%s); steps are started one by one", str(error).split("\n")[0]
            )
            self.fails = True
        self.step.chosen.copy_(chosen)


class CudaGraphs:
    """Records work as CUDA graphs that share their memory."""

    def __init__(self) -> None:
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], Outputs]) -> tuple[Replay, Outputs]:
        # First on a stream of its own: what libraries set up when they are first used cannot be captured.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            outputs = work()
        return graph.replay, outputs


BACKENDS: dict[str, Callable[[Step], Backend]] = {
    "eager": Eager,
    "graph": lambda step: Captured(step, CudaGraphs()),
    "compile": Compiled,
}


def shapes(name: str) -> Shapes:
    """The shapes of steps that the backend of that name runs."""
    return Shapes(fixed=name != "eager")


def resolve(name: str, model: Any, sharing: Sharing) -> str:
    """The name of the backend that runs a model's steps; "auto": graphs on a GPU where the model can be captured.

    Raises SpaError where the backend of that name cannot.
    """
    on_gpu, refused = model.device.type == "cuda", refusal(model, sharing)
    if name == "auto":
        return "graph" if on_gpu and not refused else "eager"
    if name != "eager" and refused:
        raise SpaError(f"backend={name} cannot run this model: {refused}; use backend=eager")
    if name == "graph" and not on_gpu:
        raise SpaError("backend=graph needs an NVIDIA GPU; use backend=eager or backend=compile")
    return name


def refusal(model: Any, sharing: Sharing) -> str | None:
    """Why the steps of a model cannot be captured or compiled, if they cannot."""
    if sharing != ALL:
        return "not all of its rows may share a pass"
    if getattr(model, "is_loaded_in_8bit", False):
        return "8-bit layers wait for the device"
    if len(set(getattr(model, "hf_device_map", {}).values())) > 1:
        return "it lies on several devices"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch found no memory, on a GPU or in main memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
