"""Finished texts as `spa.generate` returns them; they show themselves in a terminal and in a notebook."""

import html
from dataclasses import dataclass
from typing import Any

from spa.errors import SpaError
from spa.omega import holds, omega_text, parse_one

SHOWN = 60  # characters of a text in its repr


@dataclass(frozen=True, repr=False)
class Text:
    """A greedy text, and the omegas that lead to it: one value, or the half-open [lo, hi), closed at the set's end."""

    omega_lo: float
    omega_hi: float
    text: str  # without the prompt, up to where a stop rule cut it
    finish_reason: str  # "eos", "stop" or "length"
    token_ids: list[int]  # all that were chosen, without the EOS

    @property
    def omega(self) -> str:
        """Its omegas as tables write them: `0.2`, or `0.1250..0.3000`."""
        return omega_text(self.omega_lo, self.omega_hi)

    def __repr__(self) -> str:
        shown = repr(self.text if len(self.text) <= SHOWN else self.text[:SHOWN] + "\N{HORIZONTAL ELLIPSIS}")
        return f"Text(omega={self.omega}, {self.finish_reason}, {len(self.token_ids)} tokens, {shown})"


class Texts(list[Text]):
    """The texts of one prompt, by ascending omega."""

    def at(self, omega: Any) -> Text:
        """The text that an omega chooses. Raises SpaError outside of the set that was decoded."""
        value = parse_one(omega)
        for text in self:
            if holds(text.omega_lo, text.omega_hi, value, self[-1].omega_hi):
                return text
        raise SpaError(f"omega={value:g} was not decoded; choose one of: {', '.join(text.omega for text in self)}")

    def _repr_html_(self) -> str:
        """A table for notebooks: each text with its omegas and why it ended."""
        rows = "".join(
            f'<tr><td>{text.omega}</td><td>{html.escape(text.finish_reason)}</td><td style="text-align: left">'
            f'<pre style="white-space: pre-wrap">{html.escape(text.text)}</pre></td></tr>'
            for text in self
        )
        return f"<table><thead><tr><th>omega</th><th>end</th><th>text</th></tr></thead><tbody>{rows}</tbody></table>"
