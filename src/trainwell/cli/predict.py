"""`trainwell predict RUN DATA`: predicts new examples with a trained run."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainwell.cli.arguments import add_own_model_argument, own_model_of
from trainwell.cli.main import DONE
from trainwell.cli.output import describe_notes, print_json, say
from trainwell.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `predict`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")
    parser.add_argument("data", metavar="DATA", help="a file or folder like the training's")
    add_own_model_argument(parser)
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

    trained = load_run(options.run, model=own_model_of(options))
    examples = trained.read_examples(options.data)
    for line in describe_notes(examples.notes):
        say(line)
    predictions = trained.predict(examples, views=options.views).tolist()
    if options.json:
        document = {"run": options.run, "count": len(predictions), "predictions": predictions}
        document |= {"notes": list(examples.notes)}
        if examples.names:
            document |= {"files": list(examples.names)}
        print_json(document)
    elif options.out is None:
        write_rows(sys.stdout, predictions, examples.names)
    if options.out is not None:
        try:
            with Path(options.out).open("w", newline="", encoding="utf-8") as file:
                write_rows(file, predictions, examples.names)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=options.out) from error
        say(f"wrote {len(predictions)} predictions to {options.out}")
    return DONE


def write_rows(file: Any, predictions: list[Any], names: Sequence[str] = ()) -> None:
    """CSV with a heading; text that a spreadsheet would run as a formula is quoted.

    Args:
        file: Open for writing.
        predictions: One an example.
        names: Files that the examples came from; empty: they are numbered.
    """
    writer = csv.writer(file)
    writer.writerow(["file" if names else "row", "prediction"])
    for row, prediction in enumerate(predictions):
        writer.writerow([neutralise(names[row]) if names else row, neutralise(prediction)])


def neutralise(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
