"""The watchers that can be measured, by name; each is made the way `trainwell.watch` is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.corpus.program import Watch
from trainwell.findings import Finding


class Nothing:
    """Watches nothing and finds nothing; shows what the programs do by themselves."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def step(self, *_: Any, **__: Any) -> None:
        pass

    def epoch(self, **_: Any) -> None:
        pass

    def findings(self) -> list[Finding]:
        return []


def load_nothing() -> Watch:
    return Nothing


def load_trainwell() -> Watch:
    import trainwell

    return trainwell.watch


def load_autotrainer() -> Watch:
    from benchmarks.corpus.references.autotrainer import AutoTrainer

    return AutoTrainer


def load_deep_diagnosis() -> Watch:
    from benchmarks.corpus.references.deep_diagnosis import DeepDiagnosis

    return DeepDiagnosis


def load_deep_checker() -> Watch:
    from benchmarks.corpus.references.deep_checker import DeepChecker

    return DeepChecker


WATCHERS: dict[str, Callable[[], Watch]] = {
    "trainwell": load_trainwell,
    "autotrainer": load_autotrainer,
    "deep-diagnosis": load_deep_diagnosis,
    "deep-checker": load_deep_checker,
    "none": load_nothing,
}
