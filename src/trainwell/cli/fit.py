"""`trainwell fit DATA`: trains a model and leaves a run folder with a report."""

from __future__ import annotations

import argparse

from trainwell.cli.ending import tell_divergence, tell_end
from trainwell.cli.explain import tell_plan
from trainwell.cli.folds import fit_folds
from trainwell.cli.plan import add_plan_arguments, read_plan
from trainwell.cli.progress import choose_progress
from trainwell.errors import NonFiniteError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fit`."""
    add_plan_arguments(parser)
    parser.add_argument("--out", metavar="FOLDER", help="the run folder, new or empty")
    parser.add_argument(
        "--folds",
        metavar="N",
        type=int,
        help="train N times, each time validating on another part: cross-validation",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print every recipe value and why, and the planned learning rate; train nothing",
    )
    parser.add_argument("--no-report", action="store_true", help="do not write report.html")


def run(options: argparse.Namespace) -> int:
    """Trains; exit status 0, or 1 where findings say that something is wrong."""
    plan = read_plan(options)
    from trainwell.api import explain, fit

    if options.folds is not None:
        return fit_folds(plan.build, plan.name, plan.data, plan.recipe, options)
    model = plan.build(plan.data)
    if options.explain:
        return tell_plan(explain(model, plan.data, plan.recipe), as_json=options.json)
    telling = {"as_json": options.json, "with_report": not options.no_report}
    try:
        finished = fit(
            model,
            plan.data,
            plan.recipe,
            out=options.out,
            model_origin=plan.name,
            observers=[choose_progress()],
        )
    except NonFiniteError as error:
        return tell_divergence(error, **telling)
    return tell_end(finished, **telling)
