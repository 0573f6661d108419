"""`trainwell fit DATA`: trains a model and leaves a run folder with a report."""

from __future__ import annotations

import argparse

from trainwell.cli.ending import tell_divergence, tell_end
from trainwell.cli.explain import tell_plan
from trainwell.cli.folds import fit_folds
from trainwell.cli.plan import add_plan_arguments, read_plan
from trainwell.cli.progress import choose_progress
from trainwell.cli.proofs import tell_proofs
from trainwell.errors import NonFiniteError

USUAL_REPAIRS = 3


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
    parser.add_argument(
        "--prove",
        action="store_true",
        help="try the remedies of what was found out, in short replays, when the training ends",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="change the recipe where short replays prove a remedy, and go on from the last good "
        f"state, at most {USUAL_REPAIRS} times (--set repair=N: at most N times)",
    )
    parser.add_argument("--no-report", action="store_true", help="do not write report.html")


def run(options: argparse.Namespace) -> int:
    """Trains; exit status 0, or 1 where findings say that something is wrong."""
    plan = read_plan(options)
    from trainwell.api import explain, fit

    recipe = plan.recipe
    if options.repair and not recipe.repair:
        recipe = recipe.replace(repair=USUAL_REPAIRS)
    if options.folds is not None:
        return fit_folds(plan.build, plan.name, plan.data, recipe, options)
    model = plan.build(plan.data)
    if options.explain:
        return tell_plan(explain(model, plan.data, recipe), as_json=options.json)
    telling = {"as_json": options.json, "with_report": not options.no_report}
    try:
        finished = fit(
            model,
            plan.data,
            recipe,
            out=options.out,
            model_origin=plan.name,
            observers=[choose_progress()],
        )
    except NonFiniteError as error:
        if options.prove:
            tell_proofs(error.run_folder, model)
        return tell_divergence(error, **telling)
    if options.prove:
        tell_proofs(finished, model)
    return tell_end(finished, **telling)
