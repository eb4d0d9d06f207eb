"""A Hydra application whose errors are one line each and exit code 2."""

import difflib
import logging
import os
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from spa.config import CONF, Cell, resolve
from spa.errors import CellsFailedError, SpaError
from spa.runs.from_manifest import recompose
from spa.schema import RunConfig, register

log = logging.getLogger(__name__)


@dataclass
class Sweep:
    """What this process knows of the sweep that it runs."""

    folders: set[Path] = field(default_factory=set)  # results folders: cells may run in other processes
    n_cells: int = 0  # 0 where there is no sweep, or where nobody waits for it
    refused: dict[tuple[str, ...], str] = field(default_factory=dict)  # by arguments of data and model: why not
    n_failed: int = 0

    def closing(self) -> str:
        """How it ended, in a line; empty where there is nothing to tell."""
        done = f"{self.n_cells - self.n_failed} of {self.n_cells} cells done, {self.n_failed} failed"
        return done if self.n_cells else ""


sweep = Sweep()
LOOKED_FOR = ("model", "benchmark", "release", "profile", "experiment", "standin", "from_manifest")  # data and models
ELSEWHERE = ("slurm", "submitit")  # launchers whose cells may see other files than this machine

OTHER_GROUPS = {  # those of conf/ that are no keys of a cell
    "experiment": "a preset; the header of its file says what it runs, what that costs and what to expect",
    "release": "an earlier release of a benchmark's data",
    "standin": "tiny: a tiny random model in the place of every checkpoint, to try the whole flow in minutes",
    "hydra/launcher": "where the cells of a sweep run",
}
WIDTH, HELP_AT = 118, 36  # columns of --help

EXPECTED = (SpaError, HydraException, OmegaConfBaseException)


def launch(cell: Callable[[Cell], None]) -> int:
    """Compose the command line's config and run `cell` on it, or with -m on each config of the sweep.

    Returns the exit code: 2 where composing or a cell raised a SpaError. In a sweep the other cells run all the same,
    and each distinct error is told once.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints the error itself, over many lines
    register()
    _log()
    vars(sweep).update(vars(Sweep()))  # of an earlier command in this process
    failures: Counter[str] = Counter()

    @hydra.main(version_base=None, config_path=str(CONF), config_name="config")
    def task(composed: DictConfig) -> None:
        _log()  # a launcher may have started this process
        conf = HydraConfig.get()
        arguments, sweeping = conf.overrides.task, conf.mode == RunMode.MULTIRUN
        try:
            if refused := sweep.refused.get(_looked_for(arguments)):
                raise SpaError(refused)
            cell(resolve(recompose(composed, arguments)))
        except EXPECTED as error:
            failures[one_line(error)] += 1
            if sweeping and not _one_by_one(conf.launcher):  # it has to learn that the job failed
                raise
        except Exception as error:
            if not sweeping:
                raise
            log.exception("a cell of the sweep crashed")
            failures[crash := f"{type(error).__name__}: {error}"] += 1
            if not _one_by_one(conf.launcher):
                raise SpaError(crash) from error

    try:
        task()
    except CellsFailedError as error:  # in other processes
        failures.update(error.errors)
    except EXPECTED as error:
        if not failures:  # raised while Hydra composed, or in another process
            failures[one_line(error)] += 1
    for failure, count in failures.items():
        print(f"error: {failure}{f' ({count} cells)' if count > 1 else ''}", file=sys.stderr)
    sweep.n_failed = failures.total()
    return 2 if failures else 0


def _one_by_one(launcher: DictConfig) -> bool:
    """Whether it is Hydra's own, which runs the cells in this process and would tell each failure once more."""
    return str(launcher._target_).endswith(".BasicLauncher")


class Remember(Callback):
    """Notes a sweep in `sweep`, and looks for what its cells need; Hydra calls it (conf/config.yaml)."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        sweep.folders.add(Path(config.results_dir))
        planned, launcher = jobs(config.hydra, config.hydra.overrides.task), config.hydra.launcher
        sweep.n_cells = len(planned) if launcher.get("wait", True) else 0
        if not any(name in launcher._target_.lower() for name in ELSEWHERE):
            sweep.refused = _refused({_looked_for(job) for job in planned})
            lost = Counter(text for job in planned if (text := sweep.refused.get(_looked_for(job))))
            for text, count in lost.items():
                log.warning("%d of %d cells cannot run here: %s", count, len(planned), text)


def _looked_for(arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments that decide which data and which model a cell needs."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    return tuple(
        text for text, each in zip(arguments, parsed, strict=True) if each.key_or_group.split(".")[0] in LOOKED_FOR
    )


def _refused(jobs: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Why cells of these arguments cannot run; what cannot even be composed is left to the cell, which says so."""
    from spa.runs.fetching import refusals  # torch takes seconds to import

    found: dict[tuple[str, ...], Cell] = {}
    for job in sorted(jobs):
        with suppress(*EXPECTED):
            found[job] = resolve(recompose(compose("config", list(job)), _of_the_cell(job)))
    return {job: text for job, text in zip(found, refusals(found.values()), strict=True) if text}


def explained(text: str | None) -> bool:
    """Print a command's help where the command line asks for it: `text`, then every key with the value it would have.

    Raises SpaError for arguments beside --help that cannot be composed.
    """
    if not {"-h", "--help"} & set(sys.argv[1:]):
        return False
    try:
        print(f"{(text or '').strip()}\n\n{_keys_explained([each for each in sys.argv[1:] if each[:1] != '-'])}")
    except EXPECTED as error:
        raise SpaError(one_line(error)) from error
    return True


def _keys_explained(arguments: Sequence[str]) -> str:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        composed = _composed(arguments)
        options = GlobalHydra.instance().config_loader().get_group_options
        groups = {each.name: each for each in fields(RunConfig) if is_dataclass(each.default_factory)}
        lines = ["Groups (GROUP=NAME; what follows the name is chosen now)"]
        for group, text in ({name: each.metadata["help"] for name, each in groups.items()} | OTHER_GROUPS).items():
            names, chosen = options(group), composed.hydra.runtime.choices.get(group)
            lines.append(_entry(group, chosen if chosen in names else None, f"{text}\n{', '.join(names)}"))
    with open_dict(composed):
        del composed["hydra"]
    values: Any = OmegaConf.to_container(composed, resolve=True)
    lines += ["", "Keys (KEY=VALUE)"]
    lines += [_entry(*line) for line in _described(RunConfig, values) if "." not in line[0]]
    for group, each in groups.items():
        lines += ["", f"Keys of {group}"]
        lines += [_entry(*line) for line in _described(each.default_factory, values[group], f"{group}.")]
    return "\n".join(
        [*lines, "", "`--cfg job` prints what a command line makes of all this; `--hydra-help` is Hydra's own."]
    )


def _described(schema: Any, values: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Name, value and help of every key, those of inner groups included."""
    for each in fields(schema):
        if is_dataclass(each.default_factory):
            yield from _described(each.default_factory, values[each.name], f"{prefix}{each.name}.")
        else:
            yield prefix + each.name, values[each.name], each.metadata["help"]


def _entry(name: str, value: Any, text: str) -> str:
    """A key with its value and, beside or below them, its help, line by line."""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    shown = {"None": "null", "True": "true", "False": "false"}.get(shown, shown)
    given = f"  {name}={'' if shown == MISSING else shown}"
    first = f"{given:<{HELP_AT - 1}} " if len(given) < HELP_AT else f"{given}\n{' ' * HELP_AT}"
    wrapped = [part for line in text.split("\n") for part in textwrap.wrap(line, WIDTH - HELP_AT)]
    return first + f"\n{' ' * HELP_AT}".join(wrapped)


def _composed(arguments: Sequence[str]) -> DictConfig:
    """The config of what is not swept, with Hydra's own part."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    return compose("config", fixed, return_hydra_config=True)


def cells(arguments: Sequence[str]) -> list[Cell]:
    """The cells of a command line of run.py, sweeps of its experiment included, in their order. Writes nothing.

    Raises SpaError for what run.py would refuse.
    """
    try:
        return _cells(arguments)
    except EXPECTED as error:
        raise SpaError(one_line(error)) from error


def _cells(arguments: Sequence[str]) -> list[Cell]:
    register()
    given = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        composed = _composed(given)
        found = jobs(composed.hydra, given)
        return [resolve(recompose(compose("config", job), _of_the_cell(job))) for job in found]


def _of_the_cell(job: Sequence[str]) -> list[str]:
    """Without what is said of Hydra itself."""
    parse = OverridesParser.create().parse_overrides
    return [
        text for text, parsed in zip(job, parse(list(job)), strict=True) if not parsed.key_or_group.startswith("hydra")
    ]


def jobs(hydra: DictConfig, overrides: Sequence[str]) -> list[list[str]]:
    """The arguments of each job of a sweep. hydra: Hydra's own config, which holds the sweep of a preset."""
    preset = [f"{key}={values}" for key, values in (hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create().parse_overrides([*preset, *overrides])
    (arguments,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in arguments]


def _log() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("spa").setLevel(logging.INFO)


def one_line(error: BaseException) -> str:
    """The part of an error's text that concerns the user, with its cause, and what was perhaps meant."""
    text = " ".join(re.split(r"\nConfig search path|\nSee https|\n\s*full_key", str(error))[0].split())
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override}: {_quoted(str(error.override)) or text}"
    if unknown := re.match(r"Could not override '([\w.]+)'", text):
        return f"there is no key {unknown[1]}{_meant(unknown[1], _keys())}"
    if unknown := re.search(r"Could not find '(\w+)/([^']+)' Available options in '\w+': (.*)", text):
        group, name, options = unknown.groups()
        return f"{group}={name} is not one of {options.replace(' ', ', ')}{_meant(name, options.split())}"
    cause = error.__cause__
    return f"{text}: {one_line(cause)}" if isinstance(error, HydraException) and cause else text


def _quoted(override: str) -> str | None:
    """Advice for a value that only needs quotes."""
    key, _, value = override.partition("=")
    if value.startswith(("[", "{")):  # rather a bracket is missing
        return None
    quoted = f"{key}='{value}'"
    try:
        OverridesParser.create().parse_override(quoted)
    except OverrideParseException:
        return None
    return f'the value needs quotes, twice for the shell: "{quoted}"'


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; --help lists what there is"


def _keys() -> list[str]:
    """All keys of a cell, as the command line names them."""
    config = OmegaConf.structured(RunConfig)
    inner = [f"{key}.{name}" for key in config if OmegaConf.is_dict(node := config._get_node(key)) for name in node]
    return [*map(str, config), *inner]
