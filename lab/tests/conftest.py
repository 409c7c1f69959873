"""Programs of the laboratory change their process; the tests after them find it as it was."""

import logging

import pytest


@pytest.fixture(autouse=True)
def talkative():
    """A program may silence the log."""
    yield
    logging.disable(logging.NOTSET)
