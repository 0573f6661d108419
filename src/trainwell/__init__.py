"""trainwell trains neural networks the way the classic lectures teach it, and checks its own work.

The public names are imported when they are first used, so that `import trainwell` costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trainwell.version import __version__

if TYPE_CHECKING:
    from trainwell import models
    from trainwell.api import explain, fit, load, load_run, resume
    from trainwell.checking import check
    from trainwell.checks.gradients.gradient_check import check_function_gradient, check_gradients
    from trainwell.checks.gradients.report import GradientReport
    from trainwell.checks.trials.rate_range import RateRange
    from trainwell.checks.verdict import CheckReport
    from trainwell.cross_validation import cross_validate, resume_cross_validation
    from trainwell.data.dataset import Dataset
    from trainwell.diagnosing import Diagnosis, diagnose
    from trainwell.errors import TrainwellError
    from trainwell.explanation import Explanation
    from trainwell.findings import Finding
    from trainwell.fold_results import CrossValidation
    from trainwell.rate_finder import find_learning_rate
    from trainwell.run import Run
    from trainwell.training import transfer
    from trainwell.training.recipe import Recipe
    from trainwell.watching.attach import watch
    from trainwell.watching.watcher import Watcher

__all__ = [
    "CheckReport",
    "CrossValidation",
    "Dataset",
    "Diagnosis",
    "Explanation",
    "Finding",
    "GradientReport",
    "RateRange",
    "Recipe",
    "Run",
    "TrainwellError",
    "Watcher",
    "__version__",
    "check",
    "check_function_gradient",
    "check_gradients",
    "cross_validate",
    "diagnose",
    "explain",
    "find_learning_rate",
    "fit",
    "load",
    "load_run",
    "models",
    "resume",
    "resume_cross_validation",
    "transfer",
    "watch",
]

_HOMES = {
    "CheckReport": "trainwell.checks.verdict",
    "CrossValidation": "trainwell.fold_results",
    "Dataset": "trainwell.data.dataset",
    "Diagnosis": "trainwell.diagnosing",
    "Explanation": "trainwell.explanation",
    "Finding": "trainwell.findings",
    "GradientReport": "trainwell.checks.gradients.report",
    "RateRange": "trainwell.checks.trials.rate_range",
    "Recipe": "trainwell.training.recipe",
    "Run": "trainwell.run",
    "TrainwellError": "trainwell.errors",
    "Watcher": "trainwell.watching.watcher",
    "check": "trainwell.checking",
    "check_function_gradient": "trainwell.checks.gradients.gradient_check",
    "check_gradients": "trainwell.checks.gradients.gradient_check",
    "cross_validate": "trainwell.cross_validation",
    "diagnose": "trainwell.diagnosing",
    "explain": "trainwell.api",
    "find_learning_rate": "trainwell.rate_finder",
    "fit": "trainwell.api",
    "load": "trainwell.api",
    "load_run": "trainwell.api",
    "resume": "trainwell.api",
    "resume_cross_validation": "trainwell.cross_validation",
    "watch": "trainwell.watching.attach",
}

_MODULES = {"models": "trainwell.models", "transfer": "trainwell.training.transfer"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'trainwell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
