"""The cheap checks that `fit` makes before every training."""

from __future__ import annotations

from trainwell.checks.prepared import subject_of_setting
from trainwell.checks.suite import CHECKS, run_checks
from trainwell.checks.verdict import FAILING
from trainwell.training.run_folder import RunFolder
from trainwell.training.session import Setting

CHECKED = "check.json"
SECONDS = 2.0
"""That the checks may take; a large model is looked at in full by `trainwell check`."""


def check_before_training(folder: RunFolder, setting: Setting, title: str) -> None:
    """Looks before the training, and leaves what was found in the run folder.

    Args:
        folder: Locked by this process.
        setting: What will be trained; it is left as it is.
        title: Of the model and the data.
    """
    cheap = [check for check in CHECKS if check.is_cheap]
    report = run_checks(subject_of_setting(setting, title), cheap, SECONDS)
    folder.write_json(CHECKED, {**report.to_dict(), "summary": report.summary()})
    folder.write_findings([f.to_dict() for f in report.findings if f.severity in FAILING])
    folder.note("checked", report.summary())
