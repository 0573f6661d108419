"""`trainwell models [NAME]`: the catalogue of models, and one model layer by layer."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from trainwell.cli.main import DONE
from trainwell.cli.output import print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from trainwell.models.entry import Entry
    from trainwell.models.layers import Layer
    from trainwell.models.sizes import Size

GIVING_WAY = ("source", "published")
WIDTH_OF_FILES = 200
MOST_WIDTH = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models`."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one model, layer by layer")


def run(options: argparse.Namespace) -> int:
    """Prints the table, or the JSON document."""
    from trainwell.models.catalogue import CATALOGUE, FAMILIES, find_entry
    from trainwell.models.sizes import size_of

    names = [options.name] if options.name else list(CATALOGUE)
    found = [(name, entry, size_of(name, entry)) for name in names if (entry := find_entry(name))]
    layers = _layers(found[0][1]) if options.name else []
    if options.json:
        facts = {name: _describe(entry, size) for name, entry, size in found}
        if options.name:
            facts[options.name]["layers"] = [layer.to_dict() for layer in layers]
        print_json({"models": facts, "families": [family.form for family in FAMILIES]})
        return DONE
    if options.name:
        _print_one(*found[0], layers)
    else:
        _print_all(found, [family.form for family in FAMILIES])
    return DONE


def _layers(entry: Entry) -> list[Layer]:
    import torch

    from trainwell.models.layers import describe_layers

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = entry.build(entry.input_shape, entry.outputs)
    return describe_layers(model, entry.input_shape)


def _describe(entry: Entry, size: Size) -> dict[str, Any]:
    return {
        "year": entry.year,
        "source": entry.source,
        "summary": entry.summary,
        "input_shape": list(entry.input_shape),
        "outputs": entry.outputs,
        "published": entry.published,
        "suits": entry.suits,
        **vars(size),
    }


def _print_all(found: list[tuple[str, Entry, Size]], families: list[str]) -> None:
    console = _open_console()
    # On a narrow terminal these give way, so that names and costs stay whole.
    tables = (_tabulate(found, without) for without in ((), ("published",), GIVING_WAY))
    table = next((t for t in tables if _least_width(console, t) <= console.width), None)
    _print_whole(
        console,
        table or _tabulate(found, GIVING_WAY),
        after=f"\nAlso any of {', '.join(families)}. Costs are for one example of the inputs named;"
        "\nactivations is what training keeps of it. `trainwell models NAME` shows the layers.",
    )


def _tabulate(found: list[tuple[str, Entry, Size]], without: tuple[str, ...]) -> Table:
    columns = {
        "model": [name for name, _, _ in found],
        "year": [str(entry.year) for _, entry, _ in found],
        "source": [entry.source for _, entry, _ in found],
        "inputs": ["×".join(map(str, entry.input_shape)) for _, entry, _ in found],
        "parameters": [show_size(size)[0] for _, _, size in found],
        "mult-adds": [show_size(size)[1] for _, _, size in found],
        "activations": [show_size(size)[2] for _, _, size in found],
        "published": [entry.published for _, entry, _ in found],
    }
    return _make_table(
        {heading: cells for heading, cells in columns.items() if heading not in without},
        right=("parameters", "mult-adds", "activations"),
    )


def _print_one(name: str, entry: Entry, size: Size, layers: list[Layer]) -> None:
    parameters, multiply_adds, activations = show_size(size)
    before = f"[bold]{name}[/bold]  {entry.source} ({entry.year}). {entry.summary}\n"
    if entry.published:
        before += f"published: {entry.published}\n"
    before += (
        f"{parameters} parameters, {multiply_adds} multiply-adds, {activations} of activations for "
        f"one example of {'×'.join(map(str, entry.input_shape))}; try it on `{entry.suits}`\n"
    )
    columns = {
        "layer": [layer.name or "(itself)" for layer in layers],
        "kind": [layer.kind for layer in layers],
        "output": ["×".join(map(str, layer.output_shape)) for layer in layers],
        "parameters": [f"{layer.parameters:,}" if layer.parameters else "" for layer in layers],
        "sees": [str(layer.receptive_field or "") for layer in layers],
        "sd of weights": [_show(layer.weight_deviation) for layer in layers],
        "sd of outputs": [_show(layer.output_deviation) for layer in layers],
    }
    table = _make_table(columns, right=tuple(columns)[3:])
    after = (
        "\nsees: receptive field in pixels or steps. Outputs are those of standard normal inputs."
    )
    _print_whole(_open_console(), table, before=before, after=after)


def _make_table(columns: dict[str, list[str]], right: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, cells in columns.items():
        narrows = heading in GIVING_WAY or " " in heading
        least = max(map(len, " ".join((heading, *cells)).split())) if narrows else None
        justify = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, no_wrap=not narrows, min_width=least)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _open_console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def _least_width(console: Console, table: Table) -> int:
    from rich.measure import Measurement

    return Measurement.get(console, console.options.update(width=MOST_WIDTH), table).minimum


def _print_whole(console: Console, table: Table, before: str = "", after: str = "") -> None:
    """Prints a table of which no name is cut, be the terminal ever so narrow.

    Not by rich itself: it leaves with status 1 when the reader of a pipe has gone.
    """
    with console.capture() as captured:
        if before:
            console.print(before)
        console.width = max(console.width, _least_width(console, table))
        console.print(table)
        console.print(after)
    print(captured.get(), end="", flush=True)


def show_size(size: Size) -> tuple[str, str, str]:
    """Parameters, multiply-adds and activations, for people."""
    return (
        f"{size.parameters:,}",
        _abbreviate(size.multiply_adds),
        f"{size.activation_bytes / 2**20:.2f} MiB",
    )


def _abbreviate(count: int) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return str(count)


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
