"""What child processes of these tests do; started cheaply from a server that has torch loaded."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tests.training.disks import assert_same, make_checkpoint
from trainwell.training.checkpoint import newest_checkpoint, quarantine, save_checkpoint
from trainwell.training.lock import hold_lock
from trainwell.training.run_folder import RunFolder

SIZE = 2000


def train_until_killed(path: Path, connection: Connection) -> None:
    """Goes on with a run as a training does, telling each step once it is saved."""
    folder = RunFolder.open(path)
    with folder.lock(), folder.open_metrics() as metrics:
        found = newest_checkpoint(folder.checkpoints)
        step = 0
        if found is not None:
            checkpoint, damaged = found
            step = checkpoint.step
            assert_same(checkpoint, make_checkpoint(step, SIZE, rows=step))
            for each in damaged:
                folder.note("damaged_checkpoint", quarantine(each))
        metrics.cut(step)
        connection.send(("resumed", step))
        while True:
            step += 1
            metrics.append({"step": step})
            metrics.sync()
            save_checkpoint(folder.checkpoints, make_checkpoint(step, SIZE, rows=step))
            connection.send(("saved", step))


def hold_until_told(path: Path, connection: Connection) -> None:
    """Holds the lock of a folder until anything is received."""
    with hold_lock(path):
        connection.send(os.getpid())
        connection.recv()


def fork_and_leave(path: Path, connection: Connection) -> None:
    """Forks while holding the lock; the fork lives on after this process has ended."""
    with hold_lock(path):
        forked = os.fork()
        if forked == 0:
            time.sleep(20)
            os._exit(0)
        connection.send(forked)
        connection.recv()
        os._exit(0)


def try_to_hold(path: Path, connection: Connection) -> None:
    """Tells whether the lock could be had."""
    from trainwell.errors import RunFolderError

    try:
        with hold_lock(path):
            connection.send("held")
    except RunFolderError as error:
        connection.send(str(error))
