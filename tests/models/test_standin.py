"""Stand-ins: of every model, made once, and a whole preset through them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from spa.cli.hydra_app import cells
from spa.config import CONF
from spa.errors import SpaError
from spa.models import checkpoints, standin
from spa.tasks.masking import resolve_mask_token

MODELS = [path.stem for path in sorted((CONF / "model").glob("*.yaml")) if path.stem != "hf"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "spa" / "standins"


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_one(name: str, cache: Path) -> None:
    (config,) = cells([f"model={name}", "standin=tiny"])
    made = standin.replaced(config)
    assert made.model.name == f"{config.model.name} (stand-in)"
    checkpoint = checkpoints.identify(made.model)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    loaded = checkpoints.load(checkpoint, made.model, tokenizer, "float32", "none")
    assert loaded.model.config.model_type == config.model.shape.architecture
    assert loaded.eos_ids == standin.EOS
    assert bool(tokenizer.chat_template) == (config.model.kind == "chat")
    assert resolve_mask_token(tokenizer, config.model.mask_token)[0] == config.model.mask_token
    assert standin.replaced(made) == made, "a cell from a manifest is replaced already"


def test_it_is_made_once_also_by_many(cache: Path) -> None:
    (config,) = cells(["model=codellama_7b", "standin=tiny"])
    with ThreadPoolExecutor(4) as pool:
        paths = {made.model.path for made in pool.map(standin.replaced, [config] * 4)}
    assert [str(path) for path in cache.iterdir()] == list(paths)


def test_other_random_numbers_stay_as_they_were() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    standin.model("llama", 20)
    assert torch.equal(torch.rand(2), expected)


def test_a_model_without_a_shape_has_none() -> None:
    (config,) = cells(["model=hf", "model.path=a/b", "standin=tiny"])
    with pytest.raises(SpaError, match="b has no shape to imitate; run it without standin"):
        standin.replaced(config)
