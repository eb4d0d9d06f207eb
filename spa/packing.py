"""Linear layers with their weights in oneDNN's blocked layout: float32 inference on a CPU.

torch's float32 linear goes to MKL, which leaves the widest vector units of AMD processors idle. On a Zen 5 core pair
oneDNN with weights packed once is 2 to 3 times as fast at 4 to 300 rows, and 10 times for an output layer of 49,152
tokens at 16 rows (`make bench` compares the whole). The operators are the ones that torch.compile's CPU backend uses.
"""

import torch
from torch import Tensor, nn

ROWS_HINT = 32  # the batch that the layout is chosen for; it works for every other


def can_pack(model: nn.Module) -> bool:
    """Whether this torch and these weights can be packed: float32, on a CPU, with oneDNN."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    single = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    operators = hasattr(torch.ops.mkldnn, "_linear_pointwise") and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return on_cpu and single and operators and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class PackedLinear(nn.Module):
    """Stands in for a linear layer at inference. The layer's own weight is let go, unless an embedding shares it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        with torch.no_grad():
            self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS_HINT)

    def forward(self, hidden: Tensor) -> Tensor:
        output: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, self.packed, self.bias, "none", [], "")
        return output


def pack(model: nn.Module) -> None:
    """Replace every linear layer of a model that `can_pack`, in place."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))
