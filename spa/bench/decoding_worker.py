"""One side of the benchmark: a process that holds a model and does the work as often as it is asked to.

parent --"run"--> worker --{"seconds", "tokens", "peak_mib", "bytes_per_token", "batch", "halvings"}--> parent

Where memory does not suffice for a side's batch, the side is begun anew with the batch that the engine went on with: no
number is of a batch that was halved on the way.
"""

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from spa import omega
from spa.bench import other_decoders
from spa.bench.other_decoders import Pairs
from spa.config import load_benchmark_config, load_model_config
from spa.decoding.cpu import memory
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Request
from spa.decoding.stopping import ClosedBlock, NeverStop
from spa.models import checkpoints
from spa.results.speed import LLAMA_CPP, OMEGA, Setting, Side
from spa.tasks import anchors, benchmarks, prompts

GRID = [round(0.05 * step, 2) for step in range(11)]
INTERVAL = "0..0.5"
MAX_NEW_TOKENS = 400
RANDOM_TOKENS = 100  # of each text of random weights, which end nowhere
WARM_TOKENS = 16


def serve(setting: Setting, side: Side) -> None:
    """The worker's side of the conversation: answers go to stdout, one JSON line for each question."""
    torch.set_num_threads(setting.threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    by_llama_cpp = side.kind == LLAMA_CPP
    loaded = _llama_cpp(setting, side) if by_llama_cpp else _load(setting, side.own_kernels, side.quantization)
    pairs = _pairs(setting, loaded)
    round_ = Round(setting, side, loaded, pairs)
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "ready": dict,
        "prepare": lambda folder: {"lengths": _prepare(setting, loaded, pairs, folder)},
        "warm": lambda: round_.run(WARM_TOKENS),
        "run": round_.run,
    }
    for question in sys.stdin:
        name, *arguments = question.split()
        answers.write(json.dumps(work[name](*arguments)) + "\n")
        answers.flush()


class HalvedError(Exception):
    """The engine went on with so many lanes: what it takes from there on belongs to no batch."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch


class Round:
    """A side's work, at the largest batch that memory allows: the side's own, or what halving leaves of it."""

    def __init__(self, setting: Setting, side: Side, loaded: checkpoints.LoadedModel, pairs: Pairs) -> None:
        self.setting, self.side, self.loaded, self.pairs = setting, side, loaded, pairs
        self.halvings: list[int] = []

    def run(self, most: int | None = None) -> dict[str, Any]:
        """Do it once, each text of at most so many tokens; what it took."""
        while True:
            try:
                took = _timed(self.loaded, self.setting, self.side, self.pairs, most)
            except HalvedError as halved:
                self.halvings.append(self.side.batch)
                self.side = replace(self.side, batch=halved.batch)
            else:
                return took | {"batch": self.side.batch, "halvings": self.halvings}
            _let_go()


def _load(setting: Setting, own_kernels: bool, quantization: str = "none") -> checkpoints.LoadedModel:
    config = load_model_config("smollm2_135m")
    if setting.folder:
        config.path, config.package = setting.folder, None
    checkpoint = checkpoints.identify(config)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    dtype = "float16" if quantization == "int8" else setting.dtype
    if setting.shape is None:
        return checkpoints.load(checkpoint, config, tokenizer, dtype, quantization, own_kernels)
    size = load_model_config(setting.shape).shape
    shape = LlamaConfig(  # type: ignore[call-arg]
        vocab_size=len(tokenizer),  # the prompts are SmolLM2's; DeepSeek-Coder's vocabulary has 32,256 tokens
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        max_position_embeddings=16384,
        attn_implementation="sdpa",
    )
    model = _random(shape, setting.device, dtype)
    if quantization == "int8":
        model = _in_8_bits(model)
    return checkpoints.LoadedModel(model, tokenizer, (), len(tokenizer), 16384, dtype, "sdpa", "torch", setting.device)


def _random(shape: LlamaConfig, device: str, dtype: str) -> Any:
    with torch.device(device):
        torch.set_default_dtype(getattr(torch, dtype))
        model: Any = LlamaForCausalLM(shape)
        torch.set_default_dtype(torch.float32)
    return model.eval()


def _in_8_bits(model: Any) -> Any:
    """The model as transformers loads it with bitsandbytes' int8."""
    return type(model).from_pretrained(
        None,
        config=model.config,
        state_dict=model.state_dict(),
        dtype=model.dtype,
        device_map={"": model.device},
        quantization_config=BitsAndBytesConfig(load_in_8bit=True),  # type: ignore[no-untyped-call]
    )


def _llama_cpp(setting: Setting, side: Side) -> checkpoints.LoadedModel:
    """llama.cpp with the embedded model's GGUF file, of which our sides have the weights in full precision."""
    checkpoint = checkpoints.identify(load_model_config("smollm2_135m"))
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    rows = side.batch * _branches(side)
    server = other_decoders.llama_cpp_server(f"{checkpoint.location}/{checkpoint.gguf_file}", rows, setting.threads)
    return checkpoints.LoadedModel(server, tokenizer, (), len(tokenizer), 1024, "Q4_1", "", "", setting.device)


def _pairs(setting: Setting, loaded: checkpoints.LoadedModel) -> Pairs:
    config = load_model_config("smollm2_135m")
    template = prompts.load_template(config.template)
    render = prompts.renderer(template, loaded.tokenizer, "humaneval", "per_token", config.mask_token)
    problems = benchmarks.load(load_benchmark_config("humaneval")).problems[: setting.tasks]
    pairs = [render(*anchors.anchor(problem, "description")) for problem in problems]
    return [(pair.original_ids, pair.masked_ids) for pair in pairs]


def _prepare(setting: Setting, loaded: checkpoints.LoadedModel, pairs: Pairs, folder: str) -> list[int]:
    """Save the model unpacked, so that every side loads it fast; returns the natural length of each task's text."""
    loaded.tokenizer.save_pretrained(folder)
    if setting.shape:
        return [RANDOM_TOKENS] * len(pairs)
    loaded.model.save_pretrained(folder)
    engine = Engine(loaded.model, loaded.eos_ids, loaded.tokenizer.decode, 16)
    requests = [
        Request(str(number), *pair, omega.Values((OMEGA,)), ClosedBlock(), MAX_NEW_TOKENS)
        for number, pair in enumerate(pairs)
    ]
    lengths = {int(text.task_id): max(1, len(text.completion_ids)) for text in engine.decode(requests)}
    return [lengths[number] for number in range(len(pairs))]


def _timed(
    loaded: checkpoints.LoadedModel, setting: Setting, side: Side, pairs: Pairs, most: int | None = None
) -> dict[str, Any]:
    pairs, lengths = _portion(setting, side, pairs)
    lengths = [min(most or length, length) for length in lengths]
    gpu = setting.device == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started = time.perf_counter()
    with torch.inference_mode():
        tokens = _work(loaded, side, pairs, lengths)
    if gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = torch.cuda.max_memory_allocated() if gpu else rss
    _let_go()
    reads = None
    if side.kind not in ("natural", LLAMA_CPP) and loaded.linear == "torch":  # no lanes that split, no other format
        reads = bytes_per_token(loaded.model, side, pairs, lengths)
    return {"seconds": seconds, "tokens": tokens, "peak_mib": peak / 2**20, "bytes_per_token": reads}


def _work(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    """Tokens of all texts."""
    if side.kind == "ours":
        return _ours(loaded, side, pairs, lengths)
    if side.kind == "natural":
        return _natural(loaded, side, pairs, lengths)
    other = {
        "generate": other_decoders.generate,
        "guidance": other_decoders.guidance,
        "package": other_decoders.package,
        LLAMA_CPP: other_decoders.llama_cpp,
    }
    return other[side.kind](loaded.model, pairs, lengths, side.batch, side.omega)


def _branches(side: Side) -> int:
    return 1 if side.omega == 0 else 2


def _let_go() -> None:
    """Return memory: to the other sides' processes, or to a batch of another size."""
    gc.collect()
    memory.give_back()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def bytes_per_token(model: Any, side: Side, pairs: Pairs, lengths: Sequence[int]) -> float:
    """What a Llama reads for each token of a text where all lanes are in use and the texts half written.

    A step reads the weights once, of the embedding nothing to speak of, and the keys and values of each row.
    """
    sizes = model.config
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    weights = sum(weight.nbytes for weight in model.parameters()) - (0 if head is embedding else embedding.nbytes)
    state = 2 * sizes.num_hidden_layers * sizes.num_key_value_heads * sizes.head_dim * model.dtype.itemsize
    branches = _branches(side)
    slots = sum(sum(map(len, pair[:branches])) + branches * n / 2 for pair, n in zip(pairs, lengths, strict=True))
    return float(weights / min(side.batch, len(pairs)) + state * slots / len(pairs))


def _portion(setting: Setting, side: Side, pairs: Pairs) -> tuple[Pairs, Sequence[int]]:
    """What a side does of the work: prompts, and the tokens of each text, at most where texts end themselves."""
    mean = sum(setting.lengths) / len(setting.lengths)
    nearest = sorted(range(len(pairs)), key=lambda number: abs(setting.lengths[number] - mean))
    chosen = sorted(nearest[: side.tasks])
    ends_itself = side.kind == "natural" and setting.shape is None
    own = MAX_NEW_TOKENS if ends_itself else side.length
    return [pairs[number] for number in chosen], [own or setting.lengths[number] for number in chosen]


def _ours(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    engine = Engine(loaded.model, (), lambda ids: "", side.batch, drafts=side.drafts)
    requests = [
        Request(str(number), *pair, omega.parse(side.omega), NeverStop(), length)
        for number, (pair, length) in enumerate(zip(pairs, lengths, strict=True))
    ]
    return _decoded(engine, requests)


def _natural(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    budget, detokenize = Budget(lanes=side.lanes), loaded.tokenizer.decode
    engine = Engine(loaded.model, loaded.eos_ids, detokenize, side.batch, budget=budget, drafts=side.drafts)
    requests = [
        Request(str(number), *pair, omega.parse(side.omega), ClosedBlock(), length)
        for number, (pair, length) in enumerate(zip(pairs, lengths, strict=True))
    ]
    return _decoded(engine, requests)


def _decoded(engine: Engine, requests: Iterable[Request]) -> int:
    """Tokens of all texts but those given up. Raises HalvedError as soon as the engine lacks memory."""
    tokens = 0
    for finished in engine.passes(requests):
        if engine.halvings:
            raise HalvedError(engine.batch_size)
        tokens += sum(len(text.completion_ids) for text in finished if text.finish_reason != "budget")
    return tokens


if __name__ == "__main__":
    shared, own = json.loads(sys.argv[1])
    serve(Setting(**shared), Side(**own))
