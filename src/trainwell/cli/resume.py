"""`trainwell resume RUN`: goes on with a run, or a cross-validation, that was stopped."""

from __future__ import annotations

import argparse

from trainwell.cli.arguments import add_settings_argument, build_own_model, split_settings
from trainwell.cli.ending import tell_divergence, tell_end
from trainwell.cli.folds import resume_folds
from trainwell.cli.progress import choose_progress
from trainwell.errors import NonFiniteError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `resume`."""
    parser.add_argument("run", metavar="RUN", help="the folder that fit was given, or made")
    parser.add_argument(
        "--model", metavar="PATH", help="package.module:function, where the run trained your own"
    )
    parser.add_argument(
        "--allow-change",
        action="store_true",
        help="go on although recipe, data, split or versions changed",
    )
    parser.add_argument("--no-report", action="store_true", help="do not write report.html")
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Goes on; exit status as of `fit`."""
    from trainwell.api import reload_data, resume
    from trainwell.cross_validation import holds_cross_validation
    from trainwell.training.run_folder import RunFolder

    if holds_cross_validation(options.run):
        return resume_folds(options)
    model, data = None, None
    if options.model:
        data = reload_data(RunFolder.open(options.run), None)
        model = build_own_model(options.model, data)
    telling = {"as_json": options.json, "with_report": not options.no_report}
    try:
        finished = resume(
            options.run,
            model=model,
            data=data,
            settings=split_settings(options.settings),
            allow_change=options.allow_change,
            observers=[choose_progress()],
        )
    except NonFiniteError as error:
        return tell_divergence(error, **telling)
    return tell_end(finished, **telling)
