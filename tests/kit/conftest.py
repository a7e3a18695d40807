"""An option for the tests of the kit."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every broken connector against every case takes minutes."""
    parser.addoption("--all-cases", action="store_true", help="try every broken connector with every case")
