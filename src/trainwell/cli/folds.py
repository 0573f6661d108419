"""Cross-validation on the command line: `trainwell fit DATA --folds 5`, and going on with one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trainwell.cli.arguments import build_own_model
from trainwell.cli.main import DONE, SOMETHING_WRONG
from trainwell.cli.output import print_json, say
from trainwell.cli.progress import choose_progress
from trainwell.errors import RecipeError

if TYPE_CHECKING:
    from trainwell.data.dataset import Dataset
    from trainwell.fold_results import CrossValidation
    from trainwell.models.fresh import Build
    from trainwell.training.recipe import Recipe


def fit_folds(
    build: Build, name: str, data: Dataset, recipe: Recipe, options: argparse.Namespace
) -> int:
    """Trains every fold; gives the exit status.

    Args:
        build: Gives a fresh module for a fold.
        name: Of the model, as the user gave it.
        data: What is cut into folds.
        recipe: As the user gave it.
        options: Of `fit`.
    """
    if options.explain:
        raise RecipeError(
            "--explain tells of one training", where="--folds", remedy="Give one of the two"
        )
    from trainwell.cross_validation import cross_validate

    say(
        f"{options.folds} folds of the training and validation examples of {data.name}; the test "
        "split is not read"
    )
    result = cross_validate(
        build,
        data,
        recipe,
        options.folds,
        out=options.out,
        model_origin=name,
        observers=[choose_progress()],
    )
    return tell_folds(result, as_json=options.json, with_report=not options.no_report)


def resume_folds(options: argparse.Namespace) -> int:
    """Goes on with the folds that have not ended; gives the exit status.

    Args:
        options: Of `resume`.
    """
    if options.settings:
        raise RecipeError(
            "all folds of a cross-validation share one recipe",
            where="--set",
            remedy="Start another cross-validation",
        )
    from trainwell.cross_validation import resume_cross_validation

    path = options.model
    result = resume_cross_validation(
        options.run,
        model=(lambda fold: build_own_model(path, lambda: fold)) if path else None,
        allow_change=options.allow_change,
        observers=[choose_progress()],
    )
    return tell_folds(result, as_json=options.json, with_report=not options.no_report)


def tell_folds(result: CrossValidation, *, as_json: bool, with_report: bool) -> int:
    """Prints the scores of the folds and their mean; gives the exit status."""
    reports = result.report() if with_report else []
    if as_json:
        print_json({"cross_validation": str(result.path), **result.to_dict()})
    say(str(result))
    for number, error in result.failures.items():
        say(f"error: fold {number}: {error}")
    for fold in result.outcomes:
        for repair in fold.run.repairs if fold.run else ():
            say(f"fold {fold.number}: {repair}")
        for finding in fold.run.findings if fold.run else ():
            say(f"fold {fold.number}: {finding.severity}: {finding.code} {finding.cause}")
    say(f"folds   {result.path}")
    for report in reports:
        say(f"report  {report}")
    is_wrong = any(f.severity == "error" for run in result.folds for f in run.findings)
    return SOMETHING_WRONG if result.failures or is_wrong else DONE
