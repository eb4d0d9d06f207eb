"""A method is data: what the difference between the two branches is multiplied by, and which tokens may be chosen.

With a = original logits, m = those of the second prompt and p = softmax(a), the score of token v at step t is

    a_v + omega * s_t * g_v * (a_v - m_v)

over the tokens that the plausibility rule leaves. s_t and g_v depend on the prefix alone, so that the score is a line
in omega by every method, and an interval stays exact. Omega 0 is plain greedy decoding by all of them.
"""

from dataclasses import dataclass, fields
from typing import Any

from spa.errors import SpaError

MODULATIONS = ("none", "probability")
SCHEDULES = ("constant", "decay", "rise", "uncertainty", "entropy")
OF_A_LENGTH = ("decay", "rise")


@dataclass(frozen=True)
class Method:
    """The factors of the score. The defaults are SPA as the paper has it (section 3)."""

    modulation: str = "none"  # g_v: 1; or p_v / max p (`modulated_by_prob` of the authors' package)
    plausibility: float | None = None  # only tokens with p_v >= this * max p (contrastive decoding, arXiv 2210.15097)
    schedule: str = "constant"  # s_t: 1; falls to 0 or rises to 1 over `schedule_tokens`; 1 - max p; entropy(p) / log V
    schedule_tokens: int | None = None

    def departures(self) -> dict[str, Any]:
        """What is not SPA's. A key holds only these."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}

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
        if self.schedule_tokens is not None and self.schedule_tokens < 1:
            raise SpaError(f"method.schedule_tokens={self.schedule_tokens} must be at least 1")


SPA = Method()
