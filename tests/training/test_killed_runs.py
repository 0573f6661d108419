"""A run killed at any moment, however often, ends as if it had never been touched."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from noisy_runs import outcome, start

CHAIN = 5


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, float]:
    """What an undisturbed run ends in, and how many seconds it takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    warm_up = start(folder / "warm-up")
    warm_up.join()
    began = time.monotonic()
    process = start(folder / "run")
    process.join()
    assert process.exitcode == 0
    return outcome(folder / "run"), time.monotonic() - began


def kill_in_a_chain(folder: Path, seconds: float, chance: random.Random) -> int:
    """Starts and kills the run `CHAIN` times at random moments; how many were killed."""
    killed = 0
    for _ in range(CHAIN):
        process = start(folder)
        process.join(chance.uniform(0.0, seconds / 2))
        if process.is_alive():
            process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    return killed


@pytest.mark.parametrize("chain", range(2))
def test_a_run_killed_five_times_in_a_row_ends_bit_identical(
    chain: int, undisturbed: tuple[object, float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    kill_in_a_chain(tmp_path / "run", seconds, random.Random(chain))
    last = start(tmp_path / "run")
    last.join()
    assert last.exitcode == 0
    assert outcome(tmp_path / "run") == expected


@pytest.mark.slow
def test_no_run_is_lost_in_two_hundred_kills(
    undisturbed: tuple[object, float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    killed, chain = 0, 0
    while killed < 200:
        folder = tmp_path / f"run-{chain}"
        killed += kill_in_a_chain(folder, seconds, random.Random(1000 + chain))
        last = start(folder)
        last.join()
        assert last.exitcode == 0, f"chain {chain}"
        assert outcome(folder) == expected, f"chain {chain}"
        chain += 1
    print(f"{killed} kills in {chain} runs, all ended bit-identical")
