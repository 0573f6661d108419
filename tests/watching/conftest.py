"""How much is read follows the time that reading takes, which a test must not depend on."""

from __future__ import annotations

from functools import partial

import pytest

from trainwell.watching.budget import Budget


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a short training would be read less closely, and judged less surely."""
    monkeypatch.setattr("trainwell.watching.watcher.Budget", partial(Budget, allowance=10.0))
