"""`trainwell check DATA`: looks at data, model and recipe before they are trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainwell.cli.main import DONE, SOMETHING_WRONG
from trainwell.cli.output import plain, print_json, say
from trainwell.cli.plan import add_plan_arguments, read_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `check`."""
    add_plan_arguments(parser)
    parser.add_argument("--report", metavar="FILE", help="also write a page, such as check.html")


def run(options: argparse.Namespace) -> int:
    """Checks; exit status 0, or 1 where a check failed."""
    plan = read_plan(options)
    from trainwell.checking import check

    report = check(plan.build(plan.data), plan.data, plan.recipe)
    if options.json:
        print_json(report.to_dict())
        say(report.summary())
    else:
        print(plain(str(report)))
    if options.report:
        say(f"report  {report.write_page(Path(options.report))}")
    return DONE if report.passed else SOMETHING_WRONG
