"""Attention and gradients against weights and derivatives worked out by hand, and against transformers' own steps."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from spa.models import attention, checkpoints
from spa.schema import ModelConfig

COLD, HOT = 5, 6


def one_layer() -> Any:
    """Attention by content alone: a hot token weighs three times a cold one."""
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        rope_parameters={"rope_type": "default", "rope_theta": 1e20},  # the second pair of dimensions hardly rotates
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    embeddings, layer = model.get_input_embeddings().weight, model.model.layers[0].self_attn
    embeddings[COLD] = torch.tensor([2.0, 0, 0, 0])  # of root mean square 1, so that the norm changes nothing
    embeddings[HOT] = torch.tensor([0, 2.0, 0, 0])
    layer.q_proj.weight.zero_()
    layer.k_proj.weight.zero_()
    layer.q_proj.weight[1, :2] = 0.5  # every query is 1 there
    layer.k_proj.weight[1, 1] = math.log(3)  # a hot key 2 log 3; by the root of 4 dimensions: log 3
    return model


def test_weights_worked_out_by_hand() -> None:
    ids = [COLD, HOT, COLD, HOT, COLD, HOT]  # a prompt of three, of which the hot token is anchored
    for weights in attention.self_attention(one_layer(), ids, first=2):
        assert attention.share(weights, range(3)) == pytest.approx([1, 5 / 8, 5 / 9, 5 / 12], abs=1e-5)
        assert attention.share(weights, [1]) == pytest.approx([3 / 5, 3 / 8, 3 / 9, 3 / 12], abs=1e-5)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_without_queries_attention_is_uniform(architecture: str) -> None:
    model = tiny.model(architecture).requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "q_proj" in name or "qkv_proj" in name:
            parameter.zero_()
    for weights in attention.self_attention(model, list(range(5, 45)), first=9):
        assert attention.share(weights, range(10)) == pytest.approx([10 / width for width in range(10, 41)], abs=1e-6)
        assert attention.share(weights, [2, 3, 4]) == pytest.approx([3 / width for width in range(10, 41)], abs=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 64])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_reading_a_text_again_equals_writing_it(architecture: str, rows: int) -> None:
    """transformers' own decoding, step by step over its cache, gives the weights of each step."""
    model = tiny.model(architecture)
    if architecture == "llama":
        model.set_attn_implementation("eager")
    prompt = list(range(5, 25))
    written = model.generate(
        torch.tensor([prompt]), max_new_tokens=12, do_sample=False, output_attentions=True, return_dict_in_generate=True
    )
    if architecture == "llama":
        model.set_attn_implementation("sdpa")
    ids = written.sequences[0].tolist()
    last, mean = attention.self_attention(model, ids[:-1], first=len(prompt) - 1, rows=rows)
    for step, layers in enumerate(written.attentions):
        by_layer = torch.stack([weights[0, :, -1].mean(dim=0) for weights in layers])  # [L, S]
        seen = len(prompt) + step
        torch.testing.assert_close(last[step, :seen], by_layer[-1], atol=1e-5, rtol=0)
        torch.testing.assert_close(mean[step, :seen], by_layer.mean(dim=0), atol=1e-5, rtol=0)
        assert not last[step, seen:].any()
    assert model.config._attn_implementation == ("sdpa" if architecture == "llama" else "eager")


class Linear(nn.Module):
    """Logits after a token are the sum of the embeddings up to it, each by its position's factor and the projection."""

    def __init__(self, factors: list[float], vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.device = torch.device("cpu")
        self.embedding = nn.Embedding(vocabulary, 3)
        self.projection = torch.randn(vocabulary, 3)
        self.factors = torch.tensor(factors)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, inputs_embeds: Tensor, use_cache: bool, logits_to_keep: Tensor) -> SimpleNamespace:
        sums = (inputs_embeds * self.factors[None, :, None]).cumsum(dim=1)
        return SimpleNamespace(logits=(sums @ self.projection.T)[:, logits_to_keep])


def test_gradient_worked_out_by_hand() -> None:
    """Of 150 logits the top 100 count; the token with factor -2 counts twice as much as one with 1."""
    model, ids = Linear([1.0, -2.0, 4.0, 1.0], vocabulary=150), [7, 8, 9, 10]
    norms = attention.gradient(model, ids, positions=[1, 3])
    vectors = model.embedding.weight.detach()[ids]
    for row, factors in zip(norms, [[1.0, -2.0, 0, 0], [1.0, -2.0, 4.0, 1.0]], strict=True):
        logits = model.projection @ sum(factor * vector for factor, vector in zip(factors, vectors, strict=True))
        top = model.projection[logits.argsort(descending=True)[:100]].sum(dim=0).norm()
        torch.testing.assert_close(row, torch.tensor(factors).abs() * top)
    assert attention.share(norms, [0, 1]) == pytest.approx([1, 3 / 8], abs=1e-6)
    assert attention.share(norms, [1]) == pytest.approx([2 / 3, 2 / 8], abs=1e-6)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_one_forward_pass_serves_all_gradients(architecture: str) -> None:
    """Each equals the derivative in a forward pass that ends there, as the authors' scripts take it."""
    model = tiny.model(architecture, vocabulary=130).requires_grad_(False)
    ids = list(range(3, 43))
    norms = attention.gradient(model, ids, positions=[19, 30, 39])
    for row, position in zip(norms, [19, 30, 39], strict=True):
        embeddings = model.get_input_embeddings()(torch.tensor([ids[: position + 1]])).requires_grad_()
        model(inputs_embeds=embeddings).logits[0, -1].topk(100).values.sum().backward()
        torch.testing.assert_close(row[: position + 1], embeddings.grad[0].norm(dim=1), rtol=1e-3, atol=1e-4)
        assert not row[position + 1 :].any()


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_int8_is_near_full_precision(architecture: str, request: pytest.FixtureRequest) -> None:
    """bitsandbytes has a backward pass to the inputs, which is all that the gradient needs."""
    pytest.importorskip("bitsandbytes", reason="install the extra `quantization`")
    config = ModelConfig(path=str(request.getfixturevalue(f"tiny_{architecture}")))
    checkpoint = checkpoints.identify(config)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    weights = []
    for dtype, quantization in (("float16", "int8"), ("float32", "none")):
        loaded = checkpoints.load(checkpoint, config, tokenizer, dtype, quantization, own_kernels=False)
        model, ids = loaded.model.requires_grad_(False), list(range(3, 43))
        shares = attention.share(attention.gradient(model, ids, [20, 39]), range(15))
        weights.append((shares, attention.self_attention(model, ids, 19)[1]))
    (shares, mean), (exact_shares, exact_mean) = weights
    assert shares == pytest.approx(exact_shares, abs=0.05)
    assert shares != exact_shares
    torch.testing.assert_close(mean, exact_mean, atol=0.02, rtol=0)


def test_spa_is_exact_where_the_model_is_linear() -> None:
    model = Linear([1.0, -2.0, 4.0, 1.0], vocabulary=20)
    rows = list(attention.approximation(model, [7, 8, 9, 10], [7, 8, 3, 10], [2, 3], [0.5, 1.0]))
    assert [row[:2] for row in rows] == [(2, 0.5), (3, 0.5), (2, 1.0), (3, 1.0)]
    for _, _, logits, moves, error, spa_agrees, _ in rows:
        assert (logits, moves) == pytest.approx((1, 1), abs=1e-5)
        assert error == pytest.approx(0, abs=1e-5)
        assert spa_agrees


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_spa_is_exact_at_the_masked_prompt_alone(architecture: str) -> None:
    """Both forward passes that it continues lie on the line: omega -1 is the masked one; elsewhere it is not exact."""
    model = tiny.model(architecture)
    original = list(range(5, 25))
    masked = [*original[:4], *[1] * 6, *original[10:]]
    at_mask, at_half = attention.approximation(model, original, masked, [19], [-1.0, 0.5])
    assert at_mask[2:6] == (pytest.approx(1), pytest.approx(1), pytest.approx(0, abs=1e-5), True)
    assert at_half[3] < 0.999
    assert at_half[4] > 0.01


def test_without_an_approximation_the_error_is_one() -> None:
    """An anchor that the linear model does not see before its position: nothing moves, and nothing is divided."""
    model = Linear([1.0, -2.0, 0.0, 1.0], vocabulary=20)
    ((_, _, logits, _, error, spa_agrees, plain_agrees),) = attention.approximation(
        model, [7, 8, 9, 10], [7, 8, 3, 10], [3], [0.5]
    )
    assert logits == pytest.approx(1)
    assert math.isnan(error)
    assert spa_agrees
    assert plain_agrees
