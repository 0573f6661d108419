"""`trainwell predict RUN DATA`: predicts new examples with a trained run."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from trainwell.cli.main import DONE
from trainwell.cli.output import print_json, say
from trainwell.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `predict`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")
    parser.add_argument("data", metavar="DATA", help="a file or folder like the training's")
    parser.add_argument(
        "--views",
        metavar="N",
        type=int,
        default=1,
        help="look at each image N times, mirrored, shifted or as augmented; average (default 1)",
    )
    parser.add_argument("--out", metavar="FILE", help="write CSV here, not on standard output")


def run(options: argparse.Namespace) -> int:
    """Predicts every example in order."""
    from trainwell.api import load_run

    trained = load_run(options.run)
    predictions = trained.predict(options.data, views=options.views).tolist()
    if options.json:
        print_json({"run": options.run, "count": len(predictions), "predictions": predictions})
    elif options.out is None:
        write_rows(sys.stdout, predictions)
    if options.out is not None:
        try:
            with Path(options.out).open("w", newline="", encoding="utf-8") as file:
                write_rows(file, predictions)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=options.out) from error
        say(f"wrote {len(predictions)} predictions to {options.out}")
    return DONE


def write_rows(file: Any, predictions: list[Any]) -> None:
    """CSV with a heading; text that a spreadsheet would run as a formula is quoted."""
    writer = csv.writer(file)
    writer.writerow(["row", "prediction"])
    for row, prediction in enumerate(predictions):
        writer.writerow([row, neutralise(prediction)])


def neutralise(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
