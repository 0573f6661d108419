"""`trainwell models [NAME]`: the catalogue of models, and one model layer by layer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from trainwell.cli.main import DONE
from trainwell.cli.output import open_console, print_json

if TYPE_CHECKING:
    from trainwell.models.entry import Entry
    from trainwell.models.layers import Layer
    from trainwell.models.sizes import Size


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
    from rich.table import Table

    table = Table("model", "year", "source", "inputs", box=None, header_style="bold")
    for heading in ("parameters", "mult-adds", "activations"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("published")
    for name, entry, size in found:
        table.add_row(
            name,
            str(entry.year),
            entry.source,
            "×".join(map(str, entry.input_shape)),
            *show_size(size),
            entry.published,
        )
    console = open_console()
    console.print(table)
    console.print(
        f"\nAlso any of {', '.join(families)}. Costs are for one example of the inputs named;"
        "\nactivations is what training keeps of it. `trainwell models NAME` shows the layers."
    )


def _print_one(name: str, entry: Entry, size: Size, layers: list[Layer]) -> None:
    from rich.table import Table

    parameters, multiply_adds, activations = show_size(size)
    console = open_console()
    console.print(f"[bold]{name}[/bold]  {entry.source} ({entry.year}). {entry.summary}")
    if entry.published:
        console.print(f"published: {entry.published}")
    console.print(
        f"{parameters} parameters, {multiply_adds} multiply-adds, {activations} of activations for "
        f"one example of {'×'.join(map(str, entry.input_shape))}; try it on `{entry.suits}`\n"
    )
    table = Table("layer", "kind", "output", box=None, header_style="bold")
    for heading in ("parameters", "sees", "sd of weights", "sd of outputs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(
            layer.name or "(itself)",
            layer.kind,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}" if layer.parameters else "",
            str(layer.receptive_field or ""),
            _show(layer.weight_deviation),
            _show(layer.output_deviation),
        )
    console.print(table)
    console.print("\nsees: receptive field in pixels. Outputs are those of standard normal inputs.")


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
