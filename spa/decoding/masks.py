"""Attention masks for rows that stand at different places, in layers of every kind.

A transformers model makes one mask for each kind of its layers: causal, within a sliding window, within chunks. Its
rule says which keys a query sees, by their places; where the queries begin it asks the cache, and takes the answer for
all rows. A `RowCache` answers with its `Window`, which has a place for each query of each row. The functions below
know it, and stand in for those that transformers has for SDPA and eager attention. All other caches are left to these.

Letters: B rows, S new tokens, W slots that may be read.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionMaskInterface
from transformers.masking_utils import eager_mask, sdpa_mask

from spa.decoding.cache import Window
from spa.errors import SpaError

Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of row, head, query's place and key's place


def seen(rule: Rule, window: Window) -> Tensor:
    """Which slots each new token attends to, [B, 1, S, W]: those of the rule that are not hidden, or else its own."""
    slots = window.slots[:, None, :, None]
    rows = torch.arange(len(window.slots), device=slots.device)[:, None, None, None]
    keys = torch.arange(window.width, device=slots.device)[None, None, None, :]
    attended = rule(rows, torch.zeros_like(rows[:1]), slots, keys).expand(*slots.shape[:3], window.width)
    if window.hidden.shape[1]:
        hidden = functional.pad(window.hidden, (0, window.width - window.hidden.shape[1]))  # cut where it is wider
        attended = attended & ~hidden[:, None, None, :]
        attended = attended | ((keys == slots) & ~attended.any(dim=3, keepdim=True))
    return attended


def for_rows(standard: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    """A mask function that knows a `Window`, beside the standard one.

    Additive masks, because eager attention adds its mask and SDPA takes either kind.
    """

    def mask(*arguments: Any, q_offset: Any = 0, **named: Any) -> Tensor | None:
        if not isinstance(q_offset, Window):
            return standard(*arguments, q_offset=q_offset, **named)
        if named["use_vmap"]:
            raise SpaError("the model has an attention mask of its own kind, which cannot be made for each row")
        q_offset.is_used = True
        attended = seen(named["mask_function"], q_offset)
        dtype = named["dtype"]
        return torch.zeros(attended.shape, dtype=dtype, device=attended.device).masked_fill_(
            ~attended, torch.finfo(dtype).min
        )

    return mask


for name, standard in (("sdpa", sdpa_mask), ("eager", eager_mask)):
    AttentionMaskInterface.register(name, for_rows(standard))
