"""`trainwell export RUN`: writes a run's model as safetensors and ONNX."""

from __future__ import annotations

import argparse
from pathlib import Path

from trainwell.cli.arguments import add_own_model_argument, own_model_of
from trainwell.cli.main import DONE
from trainwell.cli.output import print_json, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")
    add_own_model_argument(parser)
    parser.add_argument("--out", metavar="FOLDER", help="where to; RUN/export where not given")
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        metavar="NAME",
        help="safetensors or onnx; may be repeated; both where not given",
    )


def run(options: argparse.Namespace) -> int:
    """Exports; every file was read again and compared before this says so."""
    from trainwell.api import load_run
    from trainwell.export import FORMATS, export_run

    folder = options.out or Path(options.run) / "export"
    trained = load_run(options.run, model=own_model_of(options))
    written = export_run(trained, folder, tuple(options.formats or FORMATS))
    if options.json:
        files = [{"path": str(w.path), "difference": w.difference} for w in written]
        print_json({"run": options.run, "files": files})
    for file in written:
        say(f"wrote {file.path}, read again and compared: largest difference {file.difference:.2g}")
    return DONE
