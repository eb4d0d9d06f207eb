"""Faster kernels for float32 inference on a CPU. The numbers are torch's up to rounding; `make bench` has the speed.

Linear layers: torch's go to MKL, which leaves the widest vector units of AMD processors idle. On a Zen 5 core pair
oneDNN with weights packed once, in its blocked layout, is 2 to 3 times as fast at 4 to 300 rows, and 10 times for an
output layer of 49,152 tokens at 16 rows. The operators are the ones that torch.compile's CPU backend uses.

Attention: SDPA's kernel is made for many queries a row. Decoding has one, for each head that shares keys and values.
There a batched product gives the scores, and the weighted sums of values are an embedding bag's, which reads them twice
as fast as a product does (112 rows of 440 tokens).

Letters: B rows, H query heads, K key-value heads, G query heads for each of them, W slots, D head size.
"""

from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from spa.decoding.cpu import memory
from spa.decoding.masks import for_rows

ROWS_HINT = 32  # the batch that the layout is chosen for; it works for every other
ATTENTION = "sdpa_or_products"


def supports(model: nn.Module) -> bool:
    """Whether this torch and these weights can use them: float32, on a CPU, with oneDNN."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    single = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    operators = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return on_cpu and single and operators and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


def install(model: Any) -> None:
    """Replace every linear layer of a model that they support, and SDPA where the model uses that; in place."""
    linear = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    for name in linear:  # and no module: a weight that is packed is let go at once
        parent, _, own_name = name.rpartition(".")
        setattr(model.get_submodule(parent), own_name, PackedLinear(model.get_submodule(name)))
        memory.give_back()
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


class PackedLinear(nn.Module):
    """Stands in for a linear layer whose weight is fixed; that weight is let go, unless an embedding shares it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        self.packed = _pack(linear.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        if hidden.requires_grad:
            output: Tensor = _Differentiable.apply(hidden, self)  # type: ignore[no-untyped-call]
            return output
        return _product(hidden, self.packed, self.bias)

    @cached_property
    def transposed(self) -> Tensor:
        """Packed as well; only gradients need it."""
        return _pack(self.packed.to_dense().T)


class _Differentiable(torch.autograd.Function):
    """A packed layer with its gradient by the input."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, layer: PackedLinear) -> Tensor:
        ctx.layer = layer
        return _product(hidden, layer.packed, layer.bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _product(gradient.contiguous(), ctx.layer.transposed, None), None


@torch.no_grad()
def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), ROWS_HINT)
    return packed


def _product(hidden: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, packed, bias, "none", [], "")
    return product


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """One new token a row by a product and an embedding bag, more by SDPA; [B, S, H, E].

    query, key: [B, H, S, D], [B, K, W, D]; value: [B, K, W, E], E its own size (DeepSeek-V2); attention_mask: additive
    or bool, [B, 1, S, W], or one for each query head (Doge), [B, H, S, W].
    """
    if query.shape[2] > 1 or scaling is None or arguments.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **arguments)
    rows, heads, _, size = query.shape
    grouped = query.view(rows, key.shape[1], -1, size) * scaling  # [B, K, G, D]
    # This order of the factors is the faster one, also with the copy.
    scores = (key @ grouped.transpose(2, 3)).transpose(2, 3).contiguous()
    if attention_mask is not None and attention_mask.shape[1] == heads:
        attention_mask = attention_mask.view(rows, key.shape[1], -1, attention_mask.shape[3])
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores += attention_mask
    output = _weighted_sums(torch.softmax(scores, dim=-1), value)
    return output.reshape(rows, 1, heads, value.shape[3]), None


def _weighted_sums(weights: Tensor, value: Tensor) -> Tensor:
    """What each head attends to, [B * H, D]. weights: [B, K, G, W]; value: [B, K, W, D], part of a larger storage."""
    rows, shared, groups, width = weights.shape
    size = value.shape[3]
    if value.stride(3) != 1 or any(stride % size for stride in value.stride()[:3]):
        value = value.contiguous()
    row, head, slot = (stride // size for stride in value.stride()[:3])
    last = (rows - 1) * row + (shared - 1) * head + (width - 1) * slot
    table = value.as_strided((last + 1, size), (size, 1))
    indices, starts = _bags(rows, shared, groups, width, row, head, slot)
    return functional.embedding_bag(indices, table, starts, mode="sum", per_sample_weights=weights.reshape(-1))


@lru_cache(maxsize=1)  # all layers of a step have the same
def _bags(rows: int, shared: int, groups: int, width: int, row: int, head: int, slot: int) -> tuple[Tensor, Tensor]:
    """For each head of each row the places of its values, and where its places begin; row, head, slot: strides."""
    places = (
        (torch.arange(rows, dtype=torch.int32) * row)[:, None, None, None]
        + (torch.arange(shared, dtype=torch.int32) * head)[:, None, None]
        + torch.arange(width, dtype=torch.int32) * slot
    ).expand(rows, shared, groups, width)
    return places.reshape(-1), torch.arange(rows * shared * groups, dtype=torch.int32) * width


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, for_rows(sdpa_mask))
