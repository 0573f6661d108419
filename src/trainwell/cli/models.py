"""`trainwell models [NAME]`: the catalogue of models."""

from __future__ import annotations

import argparse

from trainwell.cli.main import DONE
from trainwell.cli.output import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one model only")


def run(options: argparse.Namespace) -> int:
    """Prints the table, or the JSON document."""
    from trainwell.models.catalogue import CATALOGUE, find_entry

    names = [options.name] if options.name else list(CATALOGUE)
    entries = {name: find_entry(name) for name in names}
    if options.json:
        facts = {
            name: {"year": e.year, "source": e.source, "summary": e.summary}
            for name, e in entries.items()
        }
        print_json({"models": facts})
        return DONE
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "year", "source", "what it is")
    for name, entry in entries.items():
        table.add_row(name, str(entry.year), entry.source, entry.summary)
    Console().print(table)
    return DONE
