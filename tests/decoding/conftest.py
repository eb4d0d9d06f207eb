"""The tiny models that the engine is tried on."""

from typing import Any

import pytest
import tiny


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param)
