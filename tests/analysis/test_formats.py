import pytest

from spa.analysis import formats


@pytest.mark.parametrize(("delta", "text"), [(0.0316, "+3.2"), (-0.2, "-20.0"), (0.0, "0.0"), (-0.0001, "0.0")])
def test_signed(delta: float, text: str) -> None:
    assert formats.signed(delta) == text


@pytest.mark.parametrize(
    ("p_value", "text"), [(0.0004, "<0.001"), (0.0005, "0.001"), (0.0006, "0.001"), (1.0, "1.000")]
)
def test_p_text(p_value: float, text: str) -> None:
    assert formats.p_text(p_value) == text
