"""A machine that is fit to score is called so, and what is wrong with another one is named."""

import importlib.metadata
from dataclasses import replace

import pytest
from programs import only

from spa.cli import doctor
from spa.config import load_benchmark_config
from spa.errors import SpaError
from spa.tasks.benchmarks import Benchmark

BWRAP = "bubblewrap"
pytestmark = pytest.mark.usefixtures("scoring_cache")


def test_packages_are_as_required(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "evalplus 0.3.1" in doctor.check_packages()
    required = ["evalplus==0.3.0", "no-such-package>=1", "torch", "none-either; extra == 'dev'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: required)
    wrong = r"not as required: evalplus==0\.3\.0 \(0\.3\.1\), no-such-package>=1 \(missing\); run `make setup`"
    with pytest.raises(SpaError, match=wrong):
        doctor.check_packages()


def test_canonical_and_bad_programs(humaneval_plus: Benchmark) -> None:
    assert "6/6 canonical solutions pass, base and plus" in doctor.try_canonical(
        humaneval_plus, quick=True, sandbox=BWRAP
    )
    assert "programs that solve nothing fail" in doctor.try_bad(humaneval_plus, BWRAP)
    sick = replace(humaneval_plus.problems[0], canonical_solution="    return object()\n")
    with pytest.raises(SpaError, match="the canonical solution of HumanEval/0 fails here"):
        doctor.try_canonical(replace(humaneval_plus, problems=(sick,)), quick=True, sandbox=BWRAP)
    (sound,) = only(humaneval_plus, "HumanEval/2").problems
    small = replace(sound, base_input=sound.base_input[:1], plus_input=sound.base_input[:1])  # so it is the control
    with pytest.raises(SpaError, match=r"1 of 2 canonical solutions fail.* HumanEval/0 \(\w+\)"):
        doctor.try_canonical(replace(humaneval_plus, problems=(sick, small)), quick=True, sandbox=BWRAP)
    lax = only(humaneval_plus, "HumanEval/0").problems[0]
    anything = replace(lax, canonical_solution="    return answer\nanswer = 42\n", entry_point="answer", base_input=[])
    with pytest.raises(SpaError, match="a wrong program passes HumanEval/0 here"):
        doctor.try_bad(replace(humaneval_plus, problems=(replace(anything, plus_input=[]),)), BWRAP)


def test_a_benchmark_without_data_is_refused_at_the_end(monkeypatch: pytest.MonkeyPatch, humaneval: Benchmark) -> None:
    def load(config: object) -> Benchmark:
        if config != load_benchmark_config("humaneval"):
            raise SpaError("not here")
        return only(humaneval, "HumanEval/0")

    monkeypatch.setattr(doctor.benchmarks, "load", load)
    lines: list[str] = []
    with pytest.raises(SpaError, match=r"no data for mbpp, see above; bring it, or .* --benchmarks humaneval$"):
        lines.extend(doctor.examine(quick=True, names=["mbpp", "humaneval"], sandbox=BWRAP))
    assert "mbpp: no data: not here" in lines
    assert any(line.startswith("humaneval: 1/1 canonical solutions pass") for line in lines)


def test_without_a_sandbox_a_machine_is_not_fit() -> None:
    with pytest.raises(SpaError, match="sandbox=none protects nothing"):
        list(doctor.examine(quick=True, names=[], sandbox="none"))
