"""`trainwell resume RUN`: goes on with a run, or a cross-validation, that was stopped."""

from __future__ import annotations

import argparse

from trainwell.cli.arguments import (
    add_own_model_argument,
    add_settings_argument,
    own_model_of,
    split_settings,
)
from trainwell.cli.ending import tell_divergence, tell_end
from trainwell.cli.folds import resume_folds
from trainwell.cli.progress import choose_progress
from trainwell.errors import NonFiniteError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `resume`."""
    parser.add_argument("run", metavar="RUN", help="the folder that fit was given, or made")
    add_own_model_argument(parser)
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="go on although recipe, data, split or versions changed",
    )
    parser.add_argument("--no-report", action="store_true", help="do not write report.html")
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Goes on; exit status as of `fit`."""
    from trainwell.api import resume
    from trainwell.cross_validation import holds_cross_validation

    if holds_cross_validation(options.run):
        return resume_folds(options)
    telling = {"as_json": options.json, "with_report": not options.no_report}
    try:
        finished = resume(
            options.run,
            model=own_model_of(options),
            settings=split_settings(options.settings),
            allow_change=options.allow_change,
            observers=[choose_progress()],
        )
    except NonFiniteError as error:
        return tell_divergence(error, **telling)
    return tell_end(finished, **telling)
