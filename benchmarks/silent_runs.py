"""Are trainings by the default recipes silent, and how good are they?

    python -m benchmarks.silent_runs --data digits --largest 300000

Trains every model of the catalogue that takes the data, with no option given, watched as always.
Any error or warning, of the checks before the training or of the watcher, is a false alarm or a bad
default.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

import trainwell as tw
from benchmarks.false_alarms import REFUSED, SEVERITIES, Alarm, Pair, find_pairs, load, share
from trainwell.data.embedded import EMBEDDED
from trainwell.errors import TrainwellError
from trainwell.models.catalogue import CATALOGUE


@dataclass(frozen=True)
class Trained:
    """What came of a training; `failed` where it did not end, or was refused."""

    pair: Pair
    alarms: tuple[Alarm, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    seconds: float = 0.0
    failed: str = ""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    pairs = find_pairs(options.data or ["digits"], options.model or CATALOGUE, options.largest)
    progress = sys.stderr if options.json else sys.stdout
    trained = []
    for each in train_all(pairs, options.processes):
        trained.append(each)
        print(line_of(each), file=progress, flush=True)
    if options.json:
        print(json.dumps([asdict(each) for each in trained], indent=1))
    done = [each for each in trained if not each.failed]
    loud = sum(bool(each.alarms) for each in done)
    print(f"{len(done)} trainings, with an alarm: {share(loud, len(done))}", file=progress)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="silent_runs", description="Alarms of default recipes.")
    parser.add_argument("--data", action="append", choices=sorted(EMBEDDED))
    parser.add_argument("--model", action="append")
    parser.add_argument("--largest", type=int, help="parameters of the largest model")
    parser.add_argument("--processes", type=int, default=1, help="that train side by side")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser.parse_args(arguments)


def train_all(pairs: Sequence[Pair], processes: int) -> Iterator[Trained]:
    if processes == 1:
        yield from map(train, pairs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap(train, pairs)


def train(pair: Pair) -> Trained:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = tw.fit(pair.model, load(pair.data), out=Path(folder) / "run")
        except REFUSED as error:
            return Trained(pair, failed=f"refused: {error}")
        except TrainwellError as error:
            return Trained(pair, failed=str(error), seconds=time.monotonic() - began)
        alarms = tuple(
            Alarm(finding.severity, finding.code, finding.where, finding.cause)
            for finding in run.findings
            if finding.severity in SEVERITIES
        )
        return Trained(pair, alarms, dict(run.metrics), time.monotonic() - began)


def line_of(trained: Trained) -> str:
    pair = trained.pair
    said = "; ".join(f"{a.severity} {a.code} {a.where}: {a.cause}" for a in trained.alarms)
    score = " ".join(
        f"{name} {value:.4g}" for name, value in trained.metrics.items() if "valid" in name
    )
    return (
        f"{pair.data} / {pair.model} ({pair.parameters:,}, {trained.seconds:.0f} s) {score}: "
        f"{trained.failed or said or 'silent'}"
    )


if __name__ == "__main__":
    main()
