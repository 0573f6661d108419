"""Does `tw.check` raise alarms where nothing is wrong?

    python -m benchmarks.false_alarms --largest 1000000

Every embedded data set with every model of the catalogue that takes it, with its default recipe.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache

import torch
from scipy.stats import binomtest

import trainwell as tw
from trainwell.data.dataset import Dataset
from trainwell.data.embedded import EMBEDDED
from trainwell.errors import DataError, ModelError, RecipeError
from trainwell.models.catalogue import CATALOGUE, create

SEVERITIES = ("error", "warning")
REFUSED = (DataError, ModelError, RecipeError)


@dataclass(frozen=True)
class Pair:
    """A model and a data set that it takes."""

    data: str
    model: str
    parameters: int


@dataclass(frozen=True)
class Alarm:
    severity: str
    code: str
    where: str
    cause: str


@dataclass(frozen=True)
class Checked:
    """What `tw.check` says of a pair; `refused` where the recipe or the model refuse the data."""

    pair: Pair
    alarms: tuple[Alarm, ...]
    skipped: tuple[str, ...]
    seconds: float
    refused: str = ""

    def has(self, severity: str) -> bool:
        return any(alarm.severity == severity for alarm in self.alarms)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    pairs = find_pairs(options.data or EMBEDDED, options.model or CATALOGUE, options.largest)
    progress = sys.stderr if options.json else sys.stdout
    print(f"{len(pairs)} pairs of a data set and a model", file=progress)
    checked = []
    for each in check_all(pairs, options.processes):
        checked.append(each)
        print(line_of(each), file=progress, flush=True)
    print(json.dumps([asdict(each) for each in checked], indent=1) if options.json else "")
    print(summary(checked), file=progress)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="false_alarms", description="Alarms about healthy pairs.")
    parser.add_argument("--data", action="append", choices=sorted(EMBEDDED))
    parser.add_argument("--model", action="append")
    parser.add_argument("--largest", type=int, help="parameters of the largest model")
    parser.add_argument("--processes", type=int, default=1, help="that check side by side")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser.parse_args(arguments)


def find_pairs(
    data_names: Iterator[str] | Sequence[str], models: Sequence[str], largest: int | None
) -> list[Pair]:
    """All pairs in which the model can be built for the data and is not too large."""
    found = [
        Pair(data, model, parameters)
        for data in data_names
        for model in models
        if (parameters := count_parameters(model, load(data))) is not None
    ]
    return [pair for pair in found if largest is None or pair.parameters <= largest]


@cache
def load(name: str) -> Dataset:
    return tw.load(name)


def count_parameters(model: str, data: Dataset) -> int | None:
    """Those of the model for the data, built without memory; None: it does not take the data."""
    try:
        with torch.device("meta"):
            module = create(model, data)
    except REFUSED:
        return None
    return sum(parameter.numel() for parameter in module.parameters())


def check_all(pairs: Sequence[Pair], processes: int) -> Iterator[Checked]:
    if processes == 1:
        yield from map(check, pairs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(check, pairs)


def check(pair: Pair) -> Checked:
    began = time.monotonic()
    try:
        report = tw.check(pair.model, load(pair.data))
    except REFUSED as error:
        return Checked(pair, (), (), time.monotonic() - began, str(error))
    alarms = tuple(
        Alarm(finding.severity, finding.code, finding.where, finding.cause)
        for finding in report.findings
        if finding.severity in SEVERITIES
    )
    skipped = tuple(f"{v.check}: {v.skipped}" for v in report.verdicts if v.skipped)
    return Checked(pair, alarms, skipped, time.monotonic() - began)


def line_of(checked: Checked) -> str:
    pair = checked.pair
    said = checked.refused and f"refused: {checked.refused}"
    said = said or "; ".join(f"{a.severity} {a.code} {a.cause}" for a in checked.alarms) or "silent"
    return f"{pair.data} / {pair.model} ({pair.parameters:,}, {checked.seconds:.1f} s): {said}"


def summary(checked: Sequence[Checked]) -> str:
    """How many pairs have an alarm, and of which codes; refused pairs do not count."""
    taken = [each for each in checked if not each.refused]
    lines = [f"{len(taken)} pairs checked, {len(checked) - len(taken)} refused"]
    for severity in SEVERITIES:
        hits = sum(each.has(severity) for each in taken)
        codes = Counter(a.code for each in taken for a in each.alarms if a.severity == severity)
        named = ", ".join(f"{code} {count}" for code, count in codes.most_common()) or "none"
        lines.append(f"with {severity}: {share(hits, len(taken))}: {named}")
    return "\n".join(lines)


def share(hits: int, count: int) -> str:
    """Such as `"3, 1.5 % (95 % interval 0.3 % to 4.3 %)"` (Clopper & Pearson 1934)."""
    if not count:
        return "none"
    found = binomtest(hits, count).proportion_ci(0.95, method="exact")
    return f"{hits}, {hits / count:.1%} (95 % interval {found.low:.1%} to {found.high:.1%})"


if __name__ == "__main__":
    main()
