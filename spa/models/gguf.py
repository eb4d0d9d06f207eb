"""The weights of a GGUF file, each read and dequantised when the model asks for it.

transformers puts all of a file's values into memory, those of one tensor twice, beside a hundred megabytes of what it
parsed, and looks all names up anew for each module. Here no more lies in memory than the model and what is being read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GgufConfig
from transformers.utils.hub import cached_file

from spa.models import memory

ARCHITECTURES = ("llama", "qwen2")  # compared with transformers' own loading; it loads the others
SUFFIXES = (".weight", ".bias")


def load(location: str, name: str, revision: str | None, outline: Any, arguments: dict[str, Any]) -> Any:
    """The model, and what transformers says of its loading; outline: it without its weights."""
    weights = state_dict(Path(str(cached_file(location, name, revision=revision))), outline)
    memory.let_go()
    if weights is not None:
        return type(outline).from_pretrained(None, state_dict=weights, **arguments)
    return AutoModelForCausalLM.from_pretrained(
        location, gguf_file=name, revision=revision, quantization_config=GgufConfig(dequantize=True), **arguments
    )


@dataclass(frozen=True)
class Stored:
    """A tensor of the file, in the place of one in a state dict: to index it is to read it."""

    file: Path
    name: str
    kind: Any  # of quantization
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    processor: Any  # transformers', which lays values out as the model has them

    def __getitem__(self, _: Any) -> Tensor:
        from gguf import dequantize

        stored = np.fromfile(self.file, self.dtype, int(np.prod(self.shape)), offset=self.offset).reshape(self.shape)
        laid_out = self.processor.process(
            weights=dequantize(stored, self.kind), name=self.name, tensor_key_mapping={}, parsed_parameters={}
        )
        return torch.from_numpy(np.ascontiguousarray(laid_out.weights))


def state_dict(file: Path, model: Any) -> dict[str, Stored] | None:
    """What the file has of the model's parameters, by their names there; None where transformers is to load it."""
    from gguf import MODEL_ARCH_NAMES, GGUFReader, get_tensor_name_map
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor

    reader = GGUFReader(file)
    architecture = str(reader.fields["general.architecture"].contents())
    if architecture not in ARCHITECTURES:
        return None
    layout: Any = TENSOR_PROCESSORS.get(architecture, TensorProcessor)
    processor = layout(config=model.config.to_dict())
    stored = {
        each.name: Stored(
            *(file, each.name, each.tensor_type, each.data_offset, each.data.shape, each.data.dtype), processor
        )
        for each in reader.tensors
    }
    arch = next(arch for arch, name in MODEL_ARCH_NAMES.items() if name == architecture)
    names, found = get_tensor_name_map(arch, model.config.num_hidden_layers), {}
    for parameter in model.state_dict():
        suffix = next((end for end in SUFFIXES if parameter.endswith(end)), "")
        tensor = stored.get(f"{names.get_name(parameter.removesuffix(suffix))}{suffix}")
        if tensor:
            found[parameter] = tensor
    return found
