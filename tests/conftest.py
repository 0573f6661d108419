"""What all tests share: where the real data is, and a folder for what is remembered."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def heard_signals() -> None:
    """Signals are heard even where whoever started the tests has them ignored, as a shell does for
    what it runs in the background; trainwell leaves ignored signals ignored.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """A test that asks for fewer threads does not slow down, or change the sums of, those after."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real MNIST and CIFAR-10: `TRAINWELL_DATA`, or `shared/data` beside us.

    Skips where it is absent; on CI it may not be.
    """
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TRAINWELL_DATA", beside))
    if not folder.is_dir():
        message = f"the real data is not at {folder}; set TRAINWELL_DATA"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
