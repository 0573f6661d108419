"""A1, A2, A3, A4, A20: real processes, killed with SIGKILL at random moments while they save."""

from __future__ import annotations

import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.training.children import SIZE, train_until_killed
from tests.training.disks import assert_same, make_checkpoint
from tests.training.noisy_runs import context
from trainwell.training.checkpoint import list_checkpoints, newest_checkpoint, verify_checkpoint
from trainwell.training.run_folder import RunFolder

KILLS = 40
LONGEST_SECONDS = 0.12


def drain(connection: Connection) -> list[tuple[str, int]]:
    """Everything that a killed child told."""
    told = []
    try:
        while connection.poll():
            told.append(connection.recv())
    except EOFError:
        pass
    return told


def train_and_kill(path: Path, seconds: float) -> list[tuple[str, int]]:
    server = context()
    here, there = server.Pipe(duplex=False)
    child = server.Process(target=train_until_killed, args=(path, there), daemon=True)
    child.start()
    there.close()
    assert here.poll(30), "the child did not start"
    first = here.recv()
    time.sleep(seconds)
    child.kill()
    child.join()
    assert child.exitcode == -9, "the child failed before it was killed"
    told = [first, *drain(here)]
    here.close()
    return told


@pytest.mark.slow
def test_a1_to_a4_a_chain_of_kills_loses_nothing_that_was_reported_saved(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "run", name="x")
    folder.write_json("run.json", {})
    folder.checkpoints.mkdir()
    chance = random.Random(0)
    saved, leftovers = 0, 0
    for _ in range(KILLS):
        told = train_and_kill(folder.path, chance.uniform(0, LONGEST_SECONDS))
        assert told[0][0] == "resumed"
        assert told[0][1] >= saved, "a step that was reported saved is lost"
        saved = told[-1][1]
        found = newest_checkpoint(folder.checkpoints)
        step = 0
        if found is not None:
            step = found[0].step
            assert found[1] == []
            assert_same(found[0], make_checkpoint(step, SIZE, rows=step))
        assert saved <= step <= saved + 1
        if saved >= 2:
            for path in list_checkpoints(folder.checkpoints)[:2]:
                verify_checkpoint(path)
        names = os.listdir(folder.checkpoints)
        leftovers += any(name.startswith(".") for name in names)
        # What one death leaves, the next start removes.
        assert sum(name.startswith(".") for name in names) <= 2
    assert saved > KILLS
    assert leftovers > KILLS // 4, "too few kills met a save"
    rows = [row["step"] for row in folder.read_metrics()]
    assert rows[:saved] == list(range(1, saved + 1))
    assert len(rows) <= saved + 1
    takeovers = [e for e in folder.read_events() if e["event"] == "lock_taken_over"]
    assert len(takeovers) == KILLS - 1
    assert {e["event"] for e in folder.read_events()} == {"lock_taken_over"}
