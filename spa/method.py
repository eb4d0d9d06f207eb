"""A method is data: what the difference between the two branches is multiplied by, and which tokens may be chosen.

With a = original logits, m = those of the second prompt and p = softmax(a), the score of token v at step t is

    a_v + omega * s_t * g_v * (a_v - m_v)

over the tokens that the plausibility rule leaves. s_t and g_v depend on the prefix alone, so that the score is a line
in omega, and an interval stays exact. The authors' package alone bends it. Omega 0 is plain greedy decoding by all.
"""

from dataclasses import dataclass, fields
from typing import Any

from spa.errors import SpaError
from spa.omega import Interval, OmegaSet

MODULATIONS = ("none", "probability", "package")
SCHEDULES = ("constant", "decay", "rise", "uncertainty", "entropy")
OF_A_LENGTH = ("decay", "rise")


@dataclass(frozen=True)
class Method:
    """The factors of the score. The defaults are SPA as the paper has it (section 3)."""

    # g_v: 1; p_v / max p; or the same where the authors' package has it, with the package's bounds
    modulation: str = "none"
    plausibility: float | None = None  # only tokens with p_v >= this * max p (contrastive decoding, arXiv 2210.15097)
    schedule: str = "constant"  # s_t: 1; falls to 0 or rises to 1 over `schedule_tokens`; 1 - max p; entropy(p) / log V
    schedule_tokens: int | None = None

    def departures(self) -> dict[str, Any]:
        """What is not SPA's. A key holds only these."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}

    @property
    def is_line(self) -> bool:
        """Whether each score is a line in omega, so that it can be decoded over an interval."""
        return self.modulation != "package"

    def check(self, omegas: OmegaSet) -> None:
        """Raise SpaError for an interval where the score is no line."""
        if isinstance(omegas, Interval) and not self.is_line:
            raise SpaError(
                f"method.modulation={self.modulation} is no line in omega, so there is no interval of it; give single "
                "omegas: omega=0.4 or omega=[0,0.4,2]"
            )

    def __post_init__(self) -> None:
        for name, value, known in [
            ("modulation", self.modulation, MODULATIONS),
            ("schedule", self.schedule, SCHEDULES),
        ]:
            if value not in known:
                raise SpaError(f"method.{name}={value} is unknown; choose one of: {', '.join(known)}")
        if self.plausibility is not None and not 0 < self.plausibility <= 1:
            raise SpaError(f"method.plausibility={self.plausibility} must be above 0 and at most 1")
        if (self.schedule in OF_A_LENGTH) != (self.schedule_tokens is not None):
            what = "needs" if self.schedule in OF_A_LENGTH else "takes no"
            raise SpaError(f"method.schedule={self.schedule} {what} method.schedule_tokens")
        if not self.is_line and self.departures().keys() != {"modulation"}:
            raise SpaError("method.modulation=package goes with no schedule and no plausibility: the package has none")
        if self.schedule_tokens is not None and self.schedule_tokens < 1:
            raise SpaError(f"method.schedule_tokens={self.schedule_tokens} must be at least 1")


SPA = Method()


@dataclass(frozen=True)
class Scale:
    """How the authors of a method write its weight: `at_zero` + omega."""

    name: str
    at_zero: float = 0.0


# By the presets' names (conf/method).
SCALES = {
    "spa_package": Scale("strength", at_zero=1.0),
    "spa_probability": Scale("strength", at_zero=1.0),
    "cad": Scale("alpha"),
    "cfg": Scale("gamma", at_zero=1.0),
}


def scale_of(method: str) -> Scale:
    """The scale of a preset; omega itself for one that is not in SCALES."""
    return SCALES.get(method, Scale("omega"))
