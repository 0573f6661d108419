"""How many steps are tried out follows the time of one, which a test must not depend on."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread(own_threads: None) -> None:
    """On a busy machine threads wait for each other, and steps seem slower than they are."""
    torch.set_num_threads(1)
