"""`from_manifest=FILE`: the cell of a manifest, run again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from spa.config import generation_key
from spa.errors import SpaError
from spa.results import manifest
from spa.results.manifest import Manifest
from spa.schema import RunConfig

# What belongs to the occasion and not to the cell.
OF_THE_OCCASION = ("results_dir", "shard", "reuse", "from_manifest")


def recompose(composed: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of the manifest that `composed` names, with the overrides of this command line on top of it.

    Its tasks are those that the manifest lists, whatever chose them, and nothing is copied from other runs: they
    would be the ones to repeat. Without a manifest `composed` itself.
    """
    if composed.from_manifest is None:
        return composed
    before = _read(composed.from_manifest)
    stored = {name: value for name, value in before.config.items() if name not in OF_THE_OCCASION}
    again: DictConfig = OmegaConf.merge(  # type: ignore[assignment]
        OmegaConf.structured(RunConfig),
        stored,
        {
            "dtype": before.dtype,
            "limit": None,
            "task_ids": before.task_ids,
            "reuse": False,
            "results_dir": f"results/{before.experiment}",
        },
    )
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        name, value = override.key_or_group, override.value()
        if OmegaConf.is_dict(OmegaConf.select(again, name)):
            raise SpaError(f"{name}={value} does not go with from_manifest; override fields of it ({name}.name=...)")
        OmegaConf.update(again, name, value)
    return again


def check(path: str | None, identity: Mapping[str, Any]) -> None:
    """Raise a SpaError that says what differs where this cell's texts are not those of the manifest's run."""
    if path is None:
        return
    before = _read(path).identity
    if generation_key(before) == generation_key(dict(identity)):
        return
    differing = [name for name in {**before, **identity} if before.get(name) != identity.get(name)]
    facts = "; ".join(f"{name} was {before.get(name)} and is {identity.get(name)}" for name in differing)
    raise SpaError(f"{path} cannot be repeated here: {facts}")


def _read(path: str) -> Manifest:
    try:
        content = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise SpaError(f"from_manifest={path} cannot be read ({error}); name a run's manifest.json") from None
    try:
        found = manifest.from_json(content, Path(path))
    except SpaError:
        found = None
    if not found or not found.config or not found.identity:
        raise SpaError(f"from_manifest={path} is no manifest of a run; name a run's manifest.json")
    return found
