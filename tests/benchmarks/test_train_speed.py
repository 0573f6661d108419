"""The benchmark of epochs: contenders take turns, and only their own time counts."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pytest
import torch

import trainwell
from benchmarks import train_speed, turns
from benchmarks.contenders import CONTENDERS
from benchmarks.questions import Question, cut_down
from benchmarks.turns import Turn, take_turns


class Clock:
    """Stands still unless somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


@pytest.fixture(scope="module")
def question() -> Question:
    data = cut_down(trainwell.load("digits"), 600)
    return Question("digits", "mlp", data, 3, 0.05, 0.9, seed=0, batch_size=64)


def pretend_to_train(
    clock: Clock, seconds: float, epochs: int, seen: list[str], name: str, turn: Turn
) -> str:
    clock.now += 100
    turn.start()
    for _ in range(epochs):
        clock.now += seconds
        turn.trained()
        clock.now += seconds / 2
        seen.append(name)
        turn.epoch_ended()
    return name.upper()


def pretenders(clock: Clock, seen: list[str], epochs: int = 3) -> dict[str, Callable[[Turn], str]]:
    seconds = {"a": 2.0, "b": 8.0, "c": 4.0}
    return {n: partial(pretend_to_train, clock, s, epochs, seen, n) for n, s in seconds.items()}


def ignore(name: str, turn: Turn) -> None:
    pass


def test_each_round_has_one_epoch_of_everybody_and_another_one_first(clock: Clock) -> None:
    seen: list[str] = []
    take_turns(pretenders(clock, seen), io.StringIO(), ignore)
    rounds = ["".join(seen[i : i + 3]) for i in range(0, 9, 3)]
    assert rounds == ["bca", "cab", "abc"]


def test_time_of_others_and_of_the_set_up_does_not_count(clock: Clock) -> None:
    played, results = take_turns(pretenders(clock, []), io.StringIO(), ignore)
    assert played["a"].training == [2.0] * 3
    assert played["b"].training == [8.0] * 3
    assert played["c"].epoch == [6.0] * 3
    assert results == {"a": "A", "b": "B", "c": "C"}


def test_each_epoch_is_told_once(clock: Clock) -> None:
    told: list[tuple[str, int]] = []
    take_turns(
        pretenders(clock, [], epochs=2),
        io.StringIO(),
        lambda name, turn: told.append((name, len(turn.epoch))),
    )
    assert sorted(told) == [(name, epoch) for name in "abc" for epoch in (1, 2)]


def test_what_contenders_print_goes_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    def chatter(turn: Turn) -> None:
        print("chatter")
        turn.start()
        turn.trained()
        turn.epoch_ended()

    log = io.StringIO()
    take_turns({"one": chatter}, log, lambda name, turn: print("told"))
    assert log.getvalue() == "chatter\n"
    assert capsys.readouterr().out == "told\n"


def test_a_contender_that_turns_gradients_off_does_not_stop_the_others() -> None:
    enabled: list[bool] = []

    def without_gradients(turn: Turn) -> None:
        with torch.no_grad():
            turn.start()
            turn.epoch_ended()
            enabled.append(torch.is_grad_enabled())

    def with_gradients(turn: Turn) -> None:
        turn.start()
        turn.epoch_ended()
        enabled.append(torch.is_grad_enabled())

    trainings = {"off": without_gradients, "on": with_gradients}
    take_turns(trainings, io.StringIO(), ignore)
    assert sorted(enabled) == [False, True]


def test_the_loop_and_trainwell_learn_and_are_compared(
    question: Question, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [name for name in CONTENDERS if "trainwell" in name or "loop" in name]
    train_speed.measure(question, names)
    rows = [row.split("|")[1:-1] for row in capsys.readouterr().out.splitlines() if "%" in row]
    assert [row[0].strip() for row in rows] == names
    assert rows[0][2].strip() == "1.00"
    accuracies = [float(row[5].strip(" %")) for row in rows]
    assert min(accuracies) > 70


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine is four times slower in the second round, for both.
    assert train_speed.compare([1.0, 4.0, 1.0], [2.0, 8.0, 2.0]) == 0.5


def test_a_failure_shows_what_was_printed_before(
    question: Question, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(question: Question, turn: Turn) -> torch.Tensor:
        print("the last words")
        raise ValueError("broken")

    monkeypatch.setattr(train_speed, "find_contender", lambda name: fail)
    with pytest.raises(ValueError, match="broken"):
        train_speed.measure(question, ["Keras on PyTorch"])
    assert "the last words" in capsys.readouterr().err
