"""The run folder: claimed once, refused clearly, and readable wherever it is taken."""

from __future__ import annotations

import errno
import math
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.disks import FAST, FailingDisk, make_checkpoint, memory_folder, ordinary_user
from trainwell.errors import RunFolderError
from trainwell.training.checkpoint import newest_checkpoint, save_checkpoint
from trainwell.training.claim import make_unique
from trainwell.training.run_folder import RunFolder
from trainwell.training.run_name import slug, unique_name

CLAIMS = 10_000


def started(path: Path) -> RunFolder:
    """A run folder as a training leaves it before its first step."""
    folder = RunFolder.claim(path, name="x", disk=FAST)
    with folder.lock():
        save_checkpoint(folder.checkpoints, make_checkpoint(0), disk=FAST)
        folder.write_json("run.json", {"name": path.name})
    return folder


def test_an_exact_folder_is_made_private_with_its_parents(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "a" / "b" / "run", name="ignored")
    assert folder.path == tmp_path / "a" / "b" / "run"
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert list(folder.path.iterdir()) == []


def test_without_a_folder_a_new_one_below_runs_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (RunFolder.claim(None, name="digits-mlp", disk=FAST) for _ in range(2))
    assert first.path != second.path
    assert first.path.parent == Path("runs")
    assert first.path.name.startswith("digits-mlp-20")


def test_an_empty_folder_is_taken_and_a_full_one_is_not(tmp_path: Path) -> None:
    assert RunFolder.claim(tmp_path, name="x", disk=FAST).path == tmp_path
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"not empty: it holds thesis\.tex"):
        RunFolder.claim(tmp_path, name="x", disk=FAST)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_with_a_run_tells_how_to_go_on(tmp_path: Path) -> None:
    started(tmp_path / "run")
    with pytest.raises(RunFolderError) as caught:
        RunFolder.claim(tmp_path / "run", name="x", disk=FAST)
    assert f"trainwell resume {tmp_path / 'run'}" in caught.value.remedy


def test_a_start_that_was_cut_off_does_not_block_the_next(tmp_path: Path) -> None:
    path = tmp_path / "run"
    folder = RunFolder.claim(path, name="x", disk=FAST)
    with folder.lock():
        folder.write_text("recipe.toml", "epochs = 3")
        save_checkpoint(folder.checkpoints, make_checkpoint(0), disk=FAST)
    again = RunFolder.claim(path, name="x", disk=FAST)
    with again.lock():
        assert set(os.listdir(path)) == {".lock"}


def test_a_run_whose_run_json_was_lost_is_not_taken_for_a_start_that_was_cut_off(
    tmp_path: Path,
) -> None:
    folder = started(tmp_path / "run")
    save_checkpoint(folder.checkpoints, make_checkpoint(5), disk=FAST)
    (folder.path / "run.json").unlink()
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder.claim(folder.path, name="x", disk=FAST)
    assert newest_checkpoint(folder.checkpoints) is not None


def test_a15_of_two_that_claim_one_empty_folder_only_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "run"
    first, second = (RunFolder.claim(path, name="x", disk=FAST) for _ in range(2))
    with first.lock():
        with pytest.raises(RunFolderError, match="in use by process"), second.lock():
            pass
        save_checkpoint(first.checkpoints, make_checkpoint(0), disk=FAST)
        first.write_json("run.json", {"by": "first"})
    with pytest.raises(RunFolderError, match="already holds a run"), second.lock():
        pass
    assert first.read_json("run.json")["by"] == "first"


def test_a16_ten_thousand_starts_in_the_same_seconds_never_collide() -> None:
    with memory_folder() as parent, ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: make_unique(parent, "digits-mlp", FAST), range(CLAIMS)))
        assert len(set(paths)) == CLAIMS
        assert len(os.listdir(parent)) == CLAIMS


def test_a16_a_name_that_is_taken_is_left_to_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where four at a time draw the same name, making the folder decides."""
    lock, names = threading.Lock(), iter(range(1000))

    def draw(name: str) -> str:
        with lock:
            return f"run-{next(names) // 4}"

    monkeypatch.setattr("trainwell.training.claim.unique_name", draw)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: make_unique(tmp_path, "x", FAST), range(40)))
    assert len(set(paths)) == 40


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits-mlp", "digits-mlp"),
        ("My Data.csv", "my-data.csv"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "run"),
        ("", "run"),
        ("a\0b", "a-b"),
        ("CON", "run-con"),
        ("nul.txt", "run-nul.txt"),
        ("com1", "run-com1"),
        ("Café", "cafe"),
        ("🎉🎉", "run"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("back\\slash", "back-slash"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("a...b", "a.b"),
    ],
)
def test_e7_a_name_becomes_a_harmless_one(name: str, expected: str) -> None:
    assert slug(name) == expected


@given(st.text(max_size=200) | st.just("x" * 10_000))
def test_e7_any_name_is_one_safe_and_short_part_of_a_path(name: str) -> None:
    found = slug(name)
    assert 0 < len(found) <= 64
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert found[0] not in ".-"
    assert found[-1] not in ".-"
    assert ".." not in found
    assert len(unique_name(name)) < 255


@pytest.mark.parametrize("out", ["a\0b", "x" * 300, "file/inside", ""])
def test_e7_an_impossible_folder_is_one_clear_error(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError) as caught:
        RunFolder.claim(out, name="x", disk=FAST)
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
def test_a9_a17_what_a_save_needs_is_tried_before_the_first_step(
    tmp_path: Path, number: int
) -> None:
    disk = FailingDisk()
    RunFolder.claim(tmp_path / "sound", name="x", disk=disk)
    # Writing, syncing, renaming, syncing the folder, and removing are all tried.
    wanted = {"open_new", "write", "sync", "rename", "sync_folder", "remove_file"}
    assert wanted <= set(disk.operations)
    for failing in range(1, len(disk.operations) + 1):
        path = tmp_path / str(failing)
        with pytest.raises(RunFolderError) as caught:
            RunFolder.claim(path, name="x", disk=FailingDisk(failing, number))
        assert str(path) in str(caught.value)
        assert os.strerror(number) in str(caught.value)
        assert not path.exists() or os.listdir(path) == []


def test_a9_a_folder_that_may_not_be_written_is_refused_with_its_reason() -> None:
    with ordinary_user() as parent:
        parent.chmod(0o500)
        with pytest.raises(RunFolderError, match="cannot be made: Permission denied"):
            RunFolder.claim(parent / "run", name="x")
        parent.chmod(0o700)
        (parent / "run").mkdir(mode=0o500)
        with pytest.raises(RunFolderError, match="cannot be written: Permission denied"):
            RunFolder.claim(parent / "run", name="x")
        (parent / "run").chmod(0o700)


def test_a8_a_disk_that_is_too_small_is_refused_with_both_numbers(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "run", name="x", disk=FAST)
    forecast = folder.refuse_if_too_small(1000)
    assert forecast.needed == 1000
    assert forecast.free is not None
    assert forecast.free > 1000
    with pytest.raises(RunFolderError, match=r"need about 1000000000000\.0 MB, \d+\.\d MB are"):
        folder.refuse_if_too_small(10**18)


def test_a8_a_volume_that_does_not_count_is_not_taken_for_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.claim(tmp_path / "run", name="x", disk=FAST)
    monkeypatch.setattr("trainwell.training.run_folder.count_free_bytes", lambda _: None)
    assert "an unknown number of MB are free" in str(folder.refuse_if_too_small(10**18))


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    folder = RunFolder.claim(tmp_path / "run", name="x", disk=FAST)
    folder.write_text("recipe.toml", 'name = "été"\n')
    folder.write_json("result.json", {"loss": math.nan, "classes": ["NaN", "a"], "deep": [[1.5]]})
    folder.write_tensors("split.safetensors", {"train": torch.arange(4)})
    folder.write_findings([{"code": "lr_too_high", "evidence": {"rate": 1.0}}])
    folder.note("resumed", "resumed at step 4", step=4)
    assert folder.read_text("recipe.toml") == 'name = "été"\n'
    assert folder.read_json("result.json") == {
        "loss": None,
        "classes": ["NaN", "a"],
        "deep": [[1.5]],
    }
    assert folder.read_tensors("split.safetensors")["train"].tolist() == [0, 1, 2, 3]
    assert folder.read_findings() == [{"code": "lr_too_high", "evidence": {"rate": 1.0}}]
    (event,) = folder.read_events()
    assert (event["event"], event["message"], event["step"]) == ("resumed", "resumed at step 4", 4)
    assert folder.read_json_or_empty("evaluation.json") == {}
    assert folder.read_metrics() == []
    assert not [name for name in os.listdir(folder.path) if name.startswith(".")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a7_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path, number: int) -> None:
    folder = started(tmp_path / "run")
    before = folder.read_json("run.json")
    for failing in range(1, 6):
        failing_folder = RunFolder(folder.path, FailingDisk(failing, number))
        with pytest.raises(RunFolderError, match=os.strerror(number)) as caught:
            failing_folder.write_json("run.json", {"name": "new"})
        assert "run.json" in str(caught.value)
        assert folder.read_json("run.json") == before
        assert sorted(os.listdir(folder.path)) == [".lock", "checkpoints", "run.json"]


def test_damage_in_the_metrics_is_an_event(tmp_path: Path) -> None:
    folder = started(tmp_path / "run")
    with folder.lock(), folder.open_metrics() as metrics:
        for step in range(3):
            metrics.append({"step": step})
    path = folder.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"step":1', b'"step":7'))
    with folder.lock(), folder.open_metrics():
        pass
    assert [row["step"] for row in folder.read_metrics()] == [0, 2]
    assert {event["event"] for event in folder.read_events()} == {"damaged_metrics"}
    assert "metrics.jsonl line 2" in folder.read_events()[0]["message"]


def test_a14_the_lock_holder_removes_what_dead_processes_left(tmp_path: Path) -> None:
    folder = started(tmp_path / "run")
    left = [folder.path, folder.checkpoints]
    for place in left:
        # From a process on another machine, which cannot be looked at from here.
        (place / ".saving-7-8-9-00000000-11111111-abc").mkdir()
    (folder.path / ".replacing-7-8-9-00000000-11111111-def").write_bytes(b"half")
    with folder.lock():
        assert not [n for place in left for n in os.listdir(place) if n != ".lock" and n[0] == "."]


@pytest.mark.parametrize("name", ["run.json", "recipe.toml", "split.safetensors"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    folder = started(tmp_path / "run")
    (folder.path / name).unlink(missing_ok=True)
    read = {"run.json": folder.read_json, "recipe.toml": folder.read_text}
    reader = read.get(name, folder.read_tensors)
    with pytest.raises(RunFolderError, match=f"{name}: cannot be read: No such file"):
        reader(name)
    (folder.path / name).write_bytes(b'{"a": \xff')
    with pytest.raises(RunFolderError, match=f"{name}: is damaged"):
        reader(name)


def test_what_is_no_run_is_refused_with_a_way_on(tmp_path: Path) -> None:
    folder = started(tmp_path / "runs" / "first")
    cases = {
        tmp_path / "gone": "there is no such folder",
        folder.path / "run.json": "this is a file",
        folder.checkpoints: f"Give {folder.path}",
        folder.checkpoints / "step-000000": f"Give {folder.path}",
        tmp_path / "runs": "Give one of the runs in it: first",
        tmp_path: "there is no run.json",
    }
    for path, expected in cases.items():
        with pytest.raises(RunFolderError) as caught:
            RunFolder.open(path)
        assert expected in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000])
def test_e7_an_impossible_path_is_no_run(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError):
        RunFolder.open(path)


def test_a22_a_run_of_a_later_version_is_refused(tmp_path: Path) -> None:
    folder = started(tmp_path / "run")
    folder.write_json("run.json", {"format": 2, "environment": {"trainwell": "9.1"}})
    with pytest.raises(RunFolderError, match=r"written by trainwell 9\.1 in format 2"):
        RunFolder.open(folder.path)


def test_a19_a_moved_run_is_whole_and_names_no_place(tmp_path: Path) -> None:
    folder = started(tmp_path / "run")
    with folder.lock(), folder.open_metrics() as metrics:
        metrics.append({"step": 1})
        folder.note("x", "y")
    moved = shutil.move(folder.path, tmp_path / "elsewhere")
    again = RunFolder.open(moved)
    with again.lock(), again.open_metrics() as metrics:
        assert metrics.count == 1
        metrics.append({"step": 2})
    assert [row["step"] for row in again.read_metrics()] == [1, 2]
    assert newest_checkpoint(again.checkpoints) is not None
    for file in Path(moved).rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes()


def test_a15_a_killed_holder_is_an_event_of_the_run(tmp_path: Path) -> None:
    folder = started(tmp_path / "run")
    (folder.path / ".lock").write_text('{"pid":7,"host":"h","boot":"b","since":"2026-01-01"}')
    with RunFolder.open(folder.path).lock():
        pass
    (event,) = folder.read_events()
    assert event["event"] == "lock_taken_over"
    assert "process 7 on h" in event["message"]


def test_messages_cannot_drive_a_terminal(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError) as caught:
        RunFolder.open(tmp_path / "\x1b[2Jgone\u202e")
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)
