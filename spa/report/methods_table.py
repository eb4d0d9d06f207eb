"""The table that compares methods; the numbers are `analysis.methods`'."""

import pandas as pd

from spa.analysis.formats import benchmark_name, percent, signed
from spa.report.paper_tables import CHOSEN, HERE, RESAMPLED, Columns, with_weights
from spa.report.tables import Table, differing, shown_as

TITLE = "Methods: SPA and its neighbours, each tuned for itself"
NOTES = (
    f"{CHOSEN} Tuned: plain plus delta. {RESAMPLED} {HERE} The tasks are those that all methods have.",
    "Delta: points, the method less plain greedy decoding (omega 0). Less SPA: its delta less SPA's, on the same "
    "splits. Intervals: 95%, paired bootstrap over tasks.",
    "Omega: the median of those that the splits choose, beside it the same weight as the method's authors write it; "
    "fixed and broken: of all tasks, at that omega. Peak: the highest Pass@1 of all omegas, in hindsight.",
)
_omega = "{:.3g}".format
_NAMES: Columns = {
    "Model": ("model", str),
    "Weights": ("weights", str),
    "Benchmark": ("benchmark", benchmark_name),
    "Method": ("method", str),
    "Anchor (mask)": ("second_prompt", str),
    "Omegas": ("omegas", str),
}
_NUMBERS: Columns = {
    "Tasks": ("n_tasks", str),
    "Plain (%)": ("plain_pass_at_1", percent),
    "Tuned (%)": ("tuned_pass_at_1", percent),
    "Delta": ("delta", signed),
    "from": ("delta_low", signed),
    "to": ("delta_high", signed),
    "Less SPA": ("less_spa", signed),
    "less from": ("less_low", signed),
    "less to": ("less_high", signed),
    "Omega": ("omega", _omega),
    "Authors' weight": ("published_weight", str),
    "Fixed": ("fixed", str),
    "Broken": ("broken", str),
    "Peak (%)": ("highest_pass_at_1", percent),
    "at": ("best_lo", _omega),
}


def methods_table(rows: pd.DataFrame) -> list[Table]:
    """The table of `analysis.methods.method_rows`; none without rows."""
    if rows.empty:
        return []
    named = with_weights(rows).assign(
        second_prompt=rows["anchor"] + " (" + rows["mask"] + ")",
        published_weight=rows["scale"] + " " + rows["on_scale"].map(_omega),
    )
    further = differing(rows, ("profile", "template", "extraction"))
    names = _NAMES | {name.capitalize(): (name, str) for name in further}
    return [Table("methods", TITLE, rows, shown_as(named, names | _NUMBERS), len(names), NOTES)]
