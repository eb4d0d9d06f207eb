"""What is mistyped on a command line is answered in one line, with what was perhaps meant."""

import pytest

from spa.cli.hydra_app import cells
from spa.errors import SpaError


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "mask.token=<pad>",
            "cannot read mask.token=<pad>: the value needs quotes, twice for the shell: \"mask.token='<pad>'\"",
        ),
        ("omega=[0", "cannot read omega=[0: "),
        ("omgea=0.2", "there is no key omgea; did you mean omega?"),
        ("model.nme=x", "there is no key model.nme; did you mean model.name?"),
        ("qqq=1", "there is no key qqq; --help lists what there is"),
        ("anchor=descripton", "anchor=descripton is not one of description, "),
        ("model=smolm2_135m", "; did you mean smollm2_135m?"),
        ("limit=many", "limit"),
    ],
)
def test_a_mistyped_argument(argument: str, message: str) -> None:
    with pytest.raises(SpaError) as error:
        cells([argument, "results_dir=x"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "Exception" not in str(error.value)
