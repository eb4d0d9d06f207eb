"""Numbers and names as text. Fractions become per cent only here."""

_BENCHMARKS = {"humaneval": "HumanEval", "humaneval_plus": "HumanEval+", "mbpp": "MBPP", "mbpp_plus": "MBPP+"}


def percent(rate: float) -> str:
    """A rate as "12.3"; the unit stands in the heading."""
    return f"{rate * 100:.1f}"


def signed(delta: float) -> str:
    """A difference of rates in points, with its sign; zero has none."""
    text = f"{delta * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def p_text(p_value: float) -> str:
    """A p-value to three decimals, or "<0.001"."""
    return "<0.001" if p_value < 0.0005 else f"{p_value:.3f}"


def benchmark_name(benchmark: str) -> str:
    """The benchmark as papers write it."""
    return _BENCHMARKS.get(benchmark, benchmark)
