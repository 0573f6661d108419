"""A run killed at any moment, however often, ends as if it had never been touched."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

import trainwell as tw
from tests.training.noisy_runs import (
    Noisy,
    newest_saved,
    outcome,
    resumed_steps,
    start,
    start_to_die,
)

CHAIN = 5


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, float]:
    """What an undisturbed run ends in, and how many seconds it trains."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    return outcome(folder), tw.load_run(folder, model=Noisy()).result["seconds"]


def check_went_on(folder: Path, saved: int | None, resumes_before: int) -> None:
    """Whoever started last went on from what was saved before: nothing was started from zero."""
    new = resumed_steps(folder)[resumes_before:]
    if saved is None:
        assert new == []
    else:
        assert all(step >= saved for step in new), f"{new} after {saved} was saved"


def has_begun(folder: Path, saved: int | None, resumes_before: int) -> bool:
    """Whether whoever started last has come to train."""
    if saved is None:
        return newest_saved(folder) is not None
    return len(resumed_steps(folder)) > resumes_before


def was_killed_in_a_save(folder: Path) -> bool:
    """Whether a checkpoint was left that is not whole yet."""
    return any((folder / "checkpoints").glob(".saving-*"))


def kill_in_a_chain(folder: Path, seconds: float, chance: random.Random) -> Counter[str]:
    """Starts and kills the run `CHAIN` times at random moments; how many were killed where.

    The last of them is killed wherever it is, most likely at its start.
    """
    killed: Counter[str] = Counter()
    for link in range(CHAIN):
        saved, resumes = newest_saved(folder), len(resumed_steps(folder))
        process = start(folder)
        while process.is_alive() and link < CHAIN - 1 and not has_begun(folder, saved, resumes):
            time.sleep(0.002)
        process.join(chance.uniform(0.0, seconds / CHAIN))
        if process.is_alive():
            process.kill()
        process.join()
        check_went_on(folder, saved, resumes)
        if process.exitcode == -signal.SIGKILL:
            begun = "save" if was_killed_in_a_save(folder) else "training"
            killed[begun if newest_saved(folder) is not None else "start"] += 1
    return killed


def finish(folder: Path) -> None:
    """Lets the run come to its end."""
    saved, resumes = newest_saved(folder), len(resumed_steps(folder))
    last = start(folder)
    last.join()
    assert last.exitcode == 0
    check_went_on(folder, saved, resumes)


@pytest.mark.parametrize(
    ("operation", "count"),
    [("write_file", 9), ("rename", 2), ("rename", 3), ("sync_folder", 6), ("update", 5)],
)
def test_a1_a2_a_run_killed_in_a_save_or_in_an_update_goes_on_from_what_was_saved(
    operation: str, count: int, undisturbed: tuple[object, float], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start_to_die(folder, operation, count)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    saved = newest_saved(folder)
    assert saved is not None and saved % 3 == 0
    if operation == "update":
        assert saved == 3, "the newest save before the fifth update"
    else:
        assert was_killed_in_a_save(folder) or operation == "sync_folder"
    finish(folder)
    assert resumed_steps(folder) == [saved]
    assert outcome(folder) == undisturbed[0]


@pytest.mark.parametrize("chain", range(2))
def test_a3_a_run_killed_five_times_in_a_row_ends_bit_identical(
    chain: int, undisturbed: tuple[object, float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    kill_in_a_chain(tmp_path / "run", seconds, random.Random(chain))
    finish(tmp_path / "run")
    assert outcome(tmp_path / "run") == expected


@pytest.mark.slow
def test_a1_a3_no_run_is_lost_in_two_hundred_kills(
    undisturbed: tuple[object, float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    killed: Counter[str] = Counter()
    chain = 0
    while killed.total() < 200:
        folder = tmp_path / f"run-{chain}"
        killed += kill_in_a_chain(folder, seconds, random.Random(1000 + chain))
        finish(folder)
        assert outcome(folder) == expected, f"chain {chain}"
        chain += 1
    assert min(killed["save"], killed["training"]) > 0, killed
    print(f"{killed} kills in {chain} runs, all ended bit-identical")
