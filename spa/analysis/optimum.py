"""Where a curve over omega is highest, and how sure that is."""

from collections.abc import Iterable

import pandas as pd

from spa.analysis.curves import Curve
from spa.analysis.readings import task_weights
from spa.statistics import best_omegas, falls_after_rises, pooled_steps


def optimum_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each cell with omegas: which omegas may be the best, and the steps that are left of its curve."""
    rows = []
    for curve in (curve for curve in curves if curve.has_omegas):
        kept, rates = best_omegas(curve.passed, task_weights(curve.n_tasks)), curve.passed.mean(axis=0)
        steps = [curve.on_grid[:, first:stop].mean() for first, stop in pooled_steps(curve.on_grid)]
        rows.append(
            {
                **curve.settings,
                "n_tasks": curve.n_tasks,
                "plain_pass_at_1": curve.plain.mean(),
                "highest_pass_at_1": rates.max(),
                "best_lo": curve.lo[rates.argmax()],
                "best_hi": curve.hi[rates.argmax()],
                "kept_lo": curve.lo[kept].min(),
                "kept_hi": curve.hi[kept].max(),
                "tried_lo": curve.lo[0],
                "tried_hi": curve.hi[-1],
                "steps": len(steps),
                "falls_after_rises": falls_after_rises(steps),
                "keys": " ".join(curve.keys),
            }
        )
    return pd.DataFrame(rows)
