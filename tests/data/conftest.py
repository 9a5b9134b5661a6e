"""What tests of datasets share."""

import pytest

from derain.data.copies import Album


@pytest.fixture(scope="session")
def album() -> Album:
    """What is known of the reference pictures: their features take most of the time of tests."""
    return Album()
