"""`trainwell diagnose RUN`: proves or dismisses what was found in a run."""

from __future__ import annotations

import argparse

from trainwell.cli.arguments import add_own_model_argument, own_model_of
from trainwell.cli.main import DONE, SOMETHING_WRONG
from trainwell.cli.output import plain, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `diagnose`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--steps", metavar="N", type=int, help="of each replay; default 60, more with much momentum"
    )
    add_own_model_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Replays; exit status 0, or 1 where something is wrong that was not dismissed."""
    from trainwell.diagnosing import diagnose

    diagnosis = diagnose(options.run, model=own_model_of(options), steps=options.steps)
    if options.json:
        print_json(diagnosis.to_dict())
    else:
        print(plain(str(diagnosis)))
    wrong = any(finding.severity == "error" for finding in diagnosis.findings)
    return SOMETHING_WRONG if wrong else DONE
