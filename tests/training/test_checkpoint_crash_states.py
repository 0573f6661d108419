"""A5, A20: whatever a power loss leaves, the run goes on from what was reported saved.

The invariants: I1 a step reported saved can be loaded; I2 a load never mixes steps; I3 once there
is a good checkpoint there is always one; I4 recovery deletes nothing good; I5 recovery is
idempotent; I6 the metrics have each row once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.crash_states import RecordingDisk, Tree, build, crash_states, freeze, read_tree
from tests.training.disks import FAST, assert_same, make_checkpoint, memory_folder
from trainwell.errors import CheckpointError
from trainwell.training.checkpoint import (
    list_checkpoints,
    newest_checkpoint,
    quarantine,
    save_checkpoint,
    verify_checkpoint,
)
from trainwell.training.journal import Journal, read_rows
from trainwell.training.retention import remove_leftovers
from trainwell.training.storage import Disk

ROWS = 2


@pytest.fixture
def place() -> Iterator[Path]:
    with memory_folder() as path:
        yield path


def record_run(root: Path, disk: RecordingDisk, steps: range) -> None:
    """A run as the training writes it: rows, sync, checkpoint, rotation."""
    disk.report(steps.start - 1)
    with Journal(root / "metrics.jsonl", disk) as metrics:
        for step in steps:
            for part in range(ROWS):
                metrics.append({"step": step, "part": part})
            metrics.sync()
            save_checkpoint(
                root / "checkpoints", make_checkpoint(step, size=2, rows=metrics.count), disk=disk
            )
            disk.report(step)


def recover(root: Path) -> int:
    """What a resume does; the step it goes on from, 0 where nothing was ever saved."""
    folder = root / "checkpoints"
    found = newest_checkpoint(folder)
    rows = 0
    if found is not None:
        for damaged in found[1]:
            quarantine(damaged, FAST)
        rows = found[0].state["position"]["metrics_rows"]
    for place in (root, folder):
        remove_leftovers(place, FAST)
    with Journal(root / "metrics.jsonl", FAST) as metrics:
        metrics.cut(rows)
        assert metrics.messages == []
    return found[0].step if found is not None else 0


def whole_steps(folder: Path) -> set[str]:
    found = set()
    for path in list_checkpoints(folder):
        try:
            verify_checkpoint(path)
        except CheckpointError:
            continue
        found.add(path.name)
    return found


def check(reported: list[int], tree: Tree, place: Path) -> None:
    build(tree, place)
    folder = place / "checkpoints"
    whole_before = whole_steps(folder)
    step = recover(place)
    assert step >= reported[-1], "I1: a step that was reported saved is lost"
    if step:
        found = newest_checkpoint(folder)
        assert found is not None, "I3: no checkpoint is left"
        assert_same(found[0], make_checkpoint(step, size=2, rows=ROWS * step))  # I2
    assert whole_steps(folder) == whole_before, "I4: recovery deleted a whole checkpoint"
    after = freeze(read_tree(place))
    assert recover(place) == step
    assert freeze(read_tree(place)) == after, "I5: a second recovery changed something"
    rows, messages = read_rows(place / "metrics.jsonl")
    expected = [{"step": s, "part": p} for s in range(1, step + 1) for p in range(ROWS)]
    assert [row.fields for row in rows] == expected, "I6: rows are lost or stand twice"
    assert messages == []
    save_checkpoint(folder, make_checkpoint(step + 1, size=2), disk=FAST)
    found = newest_checkpoint(folder)
    assert found is not None
    assert found[0].step == step + 1
    shutil.rmtree(place)


def check_all(disk: RecordingDisk, place: Path) -> int:
    count = 0
    for reported, tree in crash_states(disk.record):
        check(reported, tree, place / str(count))
        count += 1
    return count


def test_a2_a5_every_state_after_a_power_loss_in_the_first_saves_recovers(place: Path) -> None:
    root = place / "run"
    root.mkdir()
    disk = RecordingDisk(root)
    record_run(root, disk, range(1, 3))
    assert check_all(disk, place) > 200


@pytest.mark.slow
def test_a4_a5_every_state_after_a_power_loss_while_rotating_recovers(place: Path) -> None:
    root = place / "run"
    root.mkdir()
    record_run(root, RecordingDisk(root), range(1, 3))
    disk = RecordingDisk(root)
    record_run(root, disk, range(3, 5))
    assert check_all(disk, place) > 450


class Careless(RecordingDisk):
    """Leaves out one promise."""

    left_out = ""

    def sync(self, descriptor: int) -> None:
        if self.left_out != "files":
            super().sync(descriptor)

    def sync_folder(self, path: Path) -> None:
        is_published = path.name == "checkpoints"
        if self.left_out != ("parent" if is_published else "folder"):
            super().sync_folder(path)


@pytest.mark.parametrize("left_out", ["files", "folder", "parent"])
def test_the_check_notices_each_sync_that_is_left_out(place: Path, left_out: str) -> None:
    """The proof that the enumeration can fail."""
    root = place / "run"
    root.mkdir()
    disk = Careless(root)
    disk.left_out = left_out
    record_run(root, disk, range(1, 2))
    with pytest.raises((AssertionError, CheckpointError), match=r"I1|no checkpoint is whole"):
        check_all(disk, place)


def test_every_state_of_a_replaced_file_is_the_old_or_the_new_one(place: Path) -> None:
    root = place / "run"
    root.mkdir()
    (root / "run.json").write_bytes(b"old" * 400)
    disk = RecordingDisk(root)
    disk.report("old")
    disk.replace_file(root / "run.json", b"new" * 500, root / ".temporary")
    disk.report("new")
    seen: dict[str, set[Any]] = {"old": set(), "new": set()}
    for reported, tree in crash_states(disk.record):
        seen[reported[-1]].add(tree["run.json"])
    assert seen == {"old": {b"old" * 400, b"new" * 500}, "new": {b"new" * 500}}


def test_every_state_of_a_cut_journal_has_the_rows_that_were_synced(place: Path) -> None:
    root = place / "run"
    root.mkdir()
    with Journal(root / "metrics.jsonl", Disk()) as metrics:
        for number in range(6):
            metrics.append({"number": number})
    disk = RecordingDisk(root)
    disk.report(0)
    with Journal(root / "metrics.jsonl", disk) as metrics:
        metrics.cut(4)
        for number in (4, 5, 6):
            metrics.append({"number": number, "again": True})
        metrics.sync()
        disk.report(7)
    for reported, tree in crash_states(disk.record):
        state = place / "state"
        build(tree, state)
        with Journal(state / "metrics.jsonl", FAST) as metrics:
            metrics.cut(4)
        rows, _ = read_rows(state / "metrics.jsonl")
        assert [row.fields["number"] for row in rows] == [0, 1, 2, 3]
        if reported[-1] == 7:
            assert len(tree["metrics.jsonl"].splitlines()) == 7
        shutil.rmtree(state)
