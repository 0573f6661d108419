"""What `fit` and `resume` say when a run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainwell.cli.main import DONE, SOMETHING_WRONG
from trainwell.cli.output import format_scores, print_json, say
from trainwell.cli.progress import describe_finding

if TYPE_CHECKING:
    from trainwell.errors import NonFiniteError
    from trainwell.run import Run
    from trainwell.training.run_folder import RunFolder


def tell_end(run: Run, *, as_json: bool, with_report: bool) -> int:
    """Prints result and findings; gives the exit status."""
    from trainwell.training.discipline import count_test_reads, describe_test_reads

    report = str(run.report()) if with_report else None
    findings = run.findings
    if as_json:
        print_json(describe(run))
    say(format_scores(run.metrics))
    skipped = run.result.get("skipped_updates", 0)
    if skipped:
        say(f"{skipped} updates were skipped, since gradients overflowed float16")
    discipline = describe_test_reads(count_test_reads(run.run_folder))
    if discipline:
        say(discipline)
    tell_repairs(run.run_folder)
    for finding in findings:
        say(describe_finding(finding))
    if not findings:
        say("findings: none recorded")
    say(f"run     {run.folder}")
    if report:
        say(f"report  {report}")
    return SOMETHING_WRONG if any(f.severity == "error" for f in findings) else DONE


def tell_divergence(error: NonFiniteError, *, as_json: bool, with_report: bool) -> int:
    """Says why the training stopped and what the run holds; gives the exit status."""
    from trainwell.report import write_report
    from trainwell.training.repairs import read_repairs
    from trainwell.training.run_folder import RunFolder

    folder = RunFolder.open(error.run_folder)
    if as_json:
        epochs = [row for row in folder.read_metrics() if row["kind"] == "epoch"]
        last = epochs[-1] if epochs else {}
        scores = {k: v for k, v in last.items() if k.startswith(("train_", "valid_"))}
        print_json(
            {
                "run": error.run_folder,
                "epochs": len(epochs),
                "steps": error.step - 1,
                "seconds": None,
                "metrics": scores,
                "findings": folder.read_findings(),
                "repairs": [repair.to_dict() for repair in read_repairs(folder)],
                "notes": folder.read_json("run.json")["data"]["notes"],
                "weights_sha256": None,
            }
        )
    tell_repairs(folder)
    say(f"error: {error}")
    say(f"run     {error.run_folder}")
    if with_report:
        say(f"report  {write_report(error.run_folder)}")
    return SOMETHING_WRONG


def tell_repairs(folder: RunFolder) -> None:
    """Says what was repaired in a run, how that ended, and what could not be."""
    from trainwell.training.repairs import NOT_REPAIRED, read_repairs

    for repair in read_repairs(folder):
        say(str(repair))
    for event in folder.read_events():
        if event["event"] == NOT_REPAIRED:
            say(event["message"])


def describe(run: Run) -> dict[str, Any]:
    """The JSON document of `fit` and `resume`."""
    result = run.result
    return {
        "run": str(run.folder),
        "epochs": result["epochs"],
        "steps": result["steps"],
        "seconds": result["seconds"],
        "metrics": result["metrics"],
        "findings": [finding.to_dict() for finding in run.findings],
        "repairs": [repair.to_dict() for repair in run.repairs],
        "notes": run.about["data"]["notes"],
        "weights_sha256": result["weights_sha256"],
    }
