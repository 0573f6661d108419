"""`trainwell report RUN`: writes a run's HTML report."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainwell.cli.main import DONE
from trainwell.cli.output import print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `report`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")


def run(options: argparse.Namespace) -> int:
    """Writes the report."""
    from trainwell.report import write_report

    path = write_report(Path(options.run))
    if options.json:
        print_json({"report": str(path)})
    say(f"report  {path}")
    return DONE
