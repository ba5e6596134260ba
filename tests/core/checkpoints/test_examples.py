import doctest
from types import ModuleType

import pytest

from fineline.checkpoints import names, parameters


@pytest.mark.parametrize("module", [names, parameters], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
