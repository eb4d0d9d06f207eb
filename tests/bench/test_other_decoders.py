"""llama.cpp beside us: the same rows, and as many tokens. The others are tested with the sides of the benchmark."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from spa.bench import other_decoders
from spa.config import load_model_config
from spa.models import checkpoints

PAIRS = [([1, 2], [1, 0]), ([3], [0])]


class Server:
    """Answers as xllamacpp's does, and keeps the questions."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def handle_completions(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(question)
        return {"usage": {"completion_tokens": question["max_tokens"]}}


@pytest.mark.parametrize(("omega", "prompts"), [(0, [[1, 2], [3]]), (0.2, [[1, 2], [1, 0], [3], [0]])])
def test_llama_cpp_decodes_the_rows_that_we_do(omega: float, prompts: list[list[int]]) -> None:
    server = Server()
    assert other_decoders.llama_cpp(server, PAIRS, [7, 5], 1, omega) == 12
    assert sorted(question["prompt"] for question in server.asked) == sorted(prompts)
    assert all(question["ignore_eos"] and not question["cache_prompt"] for question in server.asked)


def test_a_slot_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def params() -> SimpleNamespace:
        parts = {name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
        return SimpleNamespace(**parts)

    fake = SimpleNamespace(CommonParams=params, Server=lambda wanted: wanted)
    monkeypatch.setitem(sys.modules, "xllamacpp", fake)
    wanted = other_decoders.llama_cpp_server("a.gguf", 32, 2)
    assert (wanted.model.path, wanted.n_parallel, wanted.n_ctx) == ("a.gguf", 32, 32 * other_decoders.LLAMA_CPP_SLOTS)
    assert wanted.cpuparams.n_threads == wanted.cpuparams_batch.n_threads == 2


@pytest.mark.slow
def test_llama_cpp_reads_the_embedded_model() -> None:
    checkpoint = checkpoints.identify(load_model_config("smollm2_135m"))
    server = other_decoders.llama_cpp_server(f"{checkpoint.location}/{checkpoint.gguf_file}", 2, 1)
    assert other_decoders.llama_cpp(server, PAIRS, [3, 2], 1, 0.2) == 5
