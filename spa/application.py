"""A Hydra application whose errors are one line each and exit code 2."""

import logging
import os
import re
import sys
from collections.abc import Callable

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from spa.config import CONF, RunConfig, register, resolve
from spa.errors import SpaError

EXPECTED = (SpaError, HydraException, OmegaConfBaseException)


def launch(cell: Callable[[RunConfig], None]) -> int:
    """Compose the command line's config and run `cell` on it, or with -m on each config of the sweep.

    Returns the exit code: 2 where composing or a cell raised a SpaError. In a sweep the other cells run all the same.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints the error itself, over many lines
    register()
    failures: list[str] = []

    @hydra.main(version_base=None, config_path=str(CONF), config_name="config")
    def task(composed: DictConfig) -> None:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("spa").setLevel(logging.INFO)
        try:
            cell(resolve(composed))
        except EXPECTED as error:
            failures.append(one_line(error))
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # a launcher has to learn that the job failed
                raise

    try:
        task()
    except EXPECTED as error:
        failures = failures or [one_line(error)]  # raised while Hydra composed, or in another process
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 2 if failures else 0


def one_line(error: BaseException) -> str:
    """The part of an error's text that concerns the user, with its cause."""
    text = " ".join(re.split(r"\nConfig search path|\nSee https|\n\s*full_key", str(error))[0].split())
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override}: {text}"
    cause = error.__cause__
    return f"{text}: {one_line(cause)}" if isinstance(error, HydraException) and cause else text
