"""A20: the log that survives a torn last line, damage in the middle, and a full disk."""

from __future__ import annotations

import errno
import math
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.disks import FAST, FailingDisk, memory_folder
from trainwell.errors import RunFolderError
from trainwell.training.journal import Journal, decode_row, encode_row, read_rows

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: math.inf not in flatten(value) and -math.inf not in flatten(value))
ROWS = st.dictionaries(st.text().filter(lambda n: n not in ("n", "crc")), JSON_VALUES, max_size=4)


def flatten(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for inner in value for leaf in flatten(inner)]
    return [value]


@pytest.fixture
def path() -> Iterator[Path]:
    with memory_folder() as folder:
        yield folder / "metrics.jsonl"


def fill(path: Path, count: int, first: int = 0) -> None:
    with Journal(path, FAST) as journal:
        for step in range(first, first + count):
            journal.append({"step": step, "loss": step / 8})


def steps(path: Path) -> list[int]:
    return [row.fields["step"] for row in read_rows(path)[0]]


def test_rows_come_back_in_order_and_a_missing_log_has_none(path: Path) -> None:
    assert read_rows(path) == ([], [])
    fill(path, 3)
    fill(path, 2, first=3)
    assert steps(path) == [0, 1, 2, 3, 4]
    assert [row.number for row in read_rows(path)[0]] == [0, 1, 2, 3, 4]


@given(ROWS)
def test_every_row_of_json_types_comes_back_the_same(row: dict[str, Any]) -> None:
    line = encode_row(7, row)
    assert line.count(b"\n") == 1
    assert decode_row(line[:-1]) == (7, row)


def test_numbers_that_json_does_not_know_become_null(path: Path) -> None:
    with Journal(path, FAST) as journal:
        journal.append({"step": 0, "loss": math.nan, "norms": {"a": math.inf, "b": 1.0}})
    assert read_rows(path)[0][0].fields == {"step": 0, "loss": None, "norms": {"a": None, "b": 1.0}}
    assert b"NaN" not in path.read_bytes()


@pytest.mark.parametrize("name", ["n", "crc"])
def test_a_row_cannot_take_a_name_the_line_needs(path: Path, name: str) -> None:
    with Journal(path, FAST) as journal, pytest.raises(ValueError, match="cannot have fields"):
        journal.append({name: 1})


def test_a20_a_last_line_torn_at_any_byte_is_dropped_and_written_again(path: Path) -> None:
    fill(path, 3)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        kept = whole[:size].count(b"\n")
        assert steps(path) == list(range(kept))
        assert read_rows(path)[1] == []
        fill(path, 3 - kept, first=kept)
        assert path.read_bytes() == whole


def test_a20_every_changed_bit_is_found(path: Path) -> None:
    fill(path, 3)
    whole = path.read_bytes()
    sound = [row.fields for row in read_rows(path)[0]]
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        rows, messages = read_rows(path)
        assert [row.fields for row in rows] == [f for f in sound if f in [r.fields for r in rows]]
        assert len(rows) < 3
        # Only what looks like a torn last line is dropped without a word.
        assert messages or not changed.endswith(b"\n")


def test_a20_a_damaged_middle_line_is_reported_and_the_others_keep_their_numbers(
    path: Path,
) -> None:
    fill(path, 5)
    path.write_bytes(path.read_bytes().replace(b'"step":2', b'"step":9'))
    rows, messages = read_rows(path)
    assert [row.fields["step"] for row in rows] == [0, 1, 3, 4]
    assert messages == [
        "metrics.jsonl line 3: the checksum does not match",
        "metrics.jsonl rows 2 to 2 are missing",
    ]
    with Journal(path, FAST) as journal:
        assert journal.count == 5
        assert journal.messages == messages


def test_a20_rows_after_a_checkpoint_are_superseded_and_kept_beside(path: Path) -> None:
    fill(path, 6)
    whole = path.read_bytes()
    with Journal(path, FAST) as journal:
        journal.cut(4)
        assert journal.count == 4
    assert steps(path) == [0, 1, 2, 3]
    assert [r.fields["step"] for r in read_rows(path.with_suffix(".superseded.jsonl"))[0]] == [4, 5]
    fill(path, 2, first=4)
    assert path.read_bytes() == whole


def test_a20_a_cut_to_a_step_leaves_no_duplicate_and_no_gap(path: Path) -> None:
    fill(path, 6)
    with Journal(path, FAST) as journal:
        journal.cut_to_step(3)
        journal.append({"step": 4})
        journal.cut_to_step(9)
    assert steps(path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("damaged", range(6))
def test_a20_a_cut_is_exact_whichever_line_is_damaged(path: Path, damaged: int) -> None:
    fill(path, 6)
    changed = b'"step":%d' % damaged
    path.write_bytes(path.read_bytes().replace(changed, b'"step":x'))
    with Journal(path, FAST) as journal:
        journal.cut(4)
        assert bool(journal.messages) == (damaged < 4)
        for step in (4, 5):
            journal.append({"step": step})
    assert steps(path) == [step for step in range(6) if step != damaged or step >= 4]


def test_a20_a_log_that_is_behind_the_checkpoint_says_so(path: Path) -> None:
    fill(path, 2)
    with Journal(path, FAST) as journal:
        journal.cut(4)
        assert journal.messages == ["metrics.jsonl rows 2 to 3 are missing"]
        journal.append({"step": 4})
    assert read_rows(path)[0][-1].number == 4


def test_a20_a_cut_that_was_cut_off_is_done_again(path: Path) -> None:
    for number in range(1, 8):
        path.unlink(missing_ok=True)
        fill(path, 6)
        try:
            with Journal(path, FailingDisk(number, errno.EIO)) as journal:
                journal.cut(4)
        except RunFolderError:
            pass
        with Journal(path, FAST) as journal:
            journal.cut(4)
        assert steps(path) == [0, 1, 2, 3]


def test_two_writers_without_a_lock_are_noticed(path: Path) -> None:
    with Journal(path, FAST) as first, Journal(path, FAST) as second:
        for journal, step in ((first, 0), (first, 1), (second, 0), (second, 1)):
            journal.append({"step": step})
    rows, messages = read_rows(path)
    assert [row.fields["step"] for row in rows] == [0, 1]
    assert messages == ["metrics.jsonl row 0 stands twice: the later one counts"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a7_a_row_that_cannot_be_written_leaves_no_part_of_it(path: Path, number: int) -> None:
    fill(path, 2)
    disk = FailingDisk(2, number)
    with Journal(path, disk) as journal:
        with pytest.raises(RunFolderError) as caught:
            journal.append({"step": 2})
        assert str(path) in str(caught.value)
        assert os.strerror(number) in str(caught.value)
        assert "bytes needed" in str(caught.value)
        assert steps(path) == [0, 1]
        journal.append({"step": 2})
    assert steps(path) == [0, 1, 2]


def test_a7_a_short_write_is_finished(path: Path) -> None:
    with Journal(path, FailingDisk(2, None)) as journal:
        journal.append({"step": 0})
    assert steps(path) == [0]


def test_a7_what_the_kernel_itself_refuses_to_write_gives_one_clear_error(path: Path) -> None:
    fill(path, 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with Journal(path) as journal, pytest.raises(RunFolderError, match="File too large") as no:
            journal.append({"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "ulimit -f" in no.value.remedy
    assert steps(path) == [0, 1]
    assert path.read_bytes().endswith(b"\n")


def test_a6_a_failed_sync_is_never_tried_again(path: Path) -> None:
    disk = FailingDisk(3, errno.EIO)
    with Journal(path, disk) as journal:
        journal.append({"step": 0})
        with pytest.raises(RunFolderError, match="Input/output error"):
            journal.sync()
        for again in (journal.sync, lambda: journal.append({"step": 1})):
            with pytest.raises(RunFolderError, match="not written any more"):
                again()
    assert disk.operations.count("sync") == 1


def test_a5_the_first_sync_makes_the_name_of_the_log_durable_too(path: Path) -> None:
    disk = FailingDisk()
    with Journal(path, disk) as journal:
        for step in range(3):
            journal.append({"step": step})
            journal.sync()
    assert disk.operations.count("sync") == 3
    assert disk.operations.count("sync_folder") == 1


def test_a_row_survives_the_death_of_the_process_without_a_sync(path: Path) -> None:
    journal = Journal(path, FAST)
    journal.append({"step": 0})
    assert steps(path) == [0]
    journal.close()


def test_a9_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"gone/metrics\.jsonl: cannot be used: No such file"):
        Journal(tmp_path / "gone" / "metrics.jsonl")


def test_a_hostile_line_with_a_right_checksum_is_damage_not_a_crash(path: Path) -> None:
    import zlib

    for body in (b"[" * 100_000, b"1}", b'{"a":1,"a":2,"n":0}', b'{"n":-1}', b'{"n":true}', b"{}"):
        line = body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body[:-1] + b"}")
        path.write_bytes(line)
        rows, messages = read_rows(path)
        assert rows == []
        assert len(messages) == 1
