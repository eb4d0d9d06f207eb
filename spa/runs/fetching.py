"""What cells need from elsewhere, looked for or brought here: checkpoints, data, what canonical solutions return."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever HTTP client the hub uses

from spa.config import Cell, usable_cores
from spa.errors import SpaError
from spa.models import checkpoints, standin
from spa.schema import ModelConfig
from spa.scoring import expected, sandbox
from spa.tasks import benchmarks

# Other formats of the same weights; of *.bin and safetensors one is enough.
OTHER_FORMATS = [
    "*.h5",
    "*.msgpack",
    "*.onnx",
    "*.ot",
    "*.pth",
    "*.gguf",
    "*.tflite",
    "onnx/*",
    "original/*",
    "coreml/*",
]


def fetch(cells: Sequence[Cell]) -> Iterator[str]:
    """Bring it all, each thing once; a line for each. Afterwards the cells run without a network.

    Raises SpaError for what cannot be had.
    """
    done: list[object] = []
    for cell in cells:
        model = _used(cell)
        checkpoint = model.path, model.revision, model.gguf_file
        data = cell.benchmark, cell.limit, cell.task_ids, cell.score
        for name, bring, thing in (
            (f"model {model.path}", _model, checkpoint),
            (f"data {cell.benchmark.name}", _data, data),
        ):
            if thing not in done:
                yield f"{name}: {bring(cell, model)}"
                done.append(thing)


def refusals(cells: Iterable[Cell]) -> list[str]:
    """For each cell why it cannot run here: what its data or its model lacks; empty where it can.

    Each thing is looked for once. Data is downloaded, weights are not.
    """
    known: dict[str, str] = {}
    return [
        _refusal(known, f"{cell.benchmark}", partial(benchmarks.load, cell.benchmark))
        or _refusal(known, f"{cell.model} {cell.standin}", partial(_identify, cell))
        for cell in cells
    ]


def _refusal(known: dict[str, str], name: str, look: Callable[[], object]) -> str:
    """The error of `look`, kept in `known`; empty where there is none."""
    if name not in known:
        try:
            look()
            known[name] = ""
        except SpaError as error:
            known[name] = str(error)
    return known[name]


def _identify(cell: Cell) -> checkpoints.Checkpoint:
    return checkpoints.identify(_used(cell))


def _used(cell: Cell) -> ModelConfig:
    return standin.replaced(cell).model if cell.standin else cell.model


def _model(cell: Cell, model: ModelConfig) -> str:
    checkpoint = checkpoints.identify(model, join=True)
    if "commit" not in checkpoint.identity:
        return f"in {checkpoint.location}"
    try:
        files = HfApi().list_repo_files(checkpoint.location, revision=checkpoint.revision)
        spare = ["*.bin"] if any(name.endswith(".safetensors") for name in files) else []
        wanted = model.gguf_file and [model.gguf_file, "*.json", "*.model", "*.txt"]
        ignored = None if wanted else [*OTHER_FORMATS, *spare]
        # The name of the revision, not its commit: the cache then knows what the name stands for.
        return snapshot_download(
            checkpoint.location, revision=model.revision, allow_patterns=wanted, ignore_patterns=ignored
        )
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise SpaError(f"cannot fetch {model.path}: {error}; fetch where the hub is reachable") from error


def _data(cell: Cell, model: ModelConfig) -> str:
    benchmark = benchmarks.load(cell.benchmark)
    problems = benchmarks.select(benchmark, cell.limit, cell.task_ids)
    if cell.score:
        expected.tests(problems, benchmark, sandbox.resolve(cell.sandbox), usable_cores())
    return f"{len(problems)} tasks from {benchmark.source}" + (f", outputs in {expected.folder()}" * cell.score)
