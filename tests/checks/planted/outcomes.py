"""What `tw.check` found in programs with planted faults, counted."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from scipy.stats import binomtest

from tests.checks.planted.fault import PlantedFault, failing_codes
from tests.checks.planted.registry import find
from trainwell.checks.verdict import FAILING, CheckReport

NONE = "none"


@dataclass(frozen=True)
class Outcome:
    """What was found in a faulty program and in its healthy twin.

    Attributes:
        name, family, codes: Of the fault.
        faulty, twin: Codes at error or warning, the gravest first.
        said_of_faulty, said_of_twin: The causes of these findings, as sentences.
        skipped_faulty, skipped_twin: Checks that could not be made, and why.
        seconds_faulty, seconds_twin: How long `tw.check` took.
    """

    name: str
    family: str
    codes: tuple[str, ...]
    faulty: tuple[str, ...]
    twin: tuple[str, ...]
    said_of_faulty: tuple[str, ...]
    said_of_twin: tuple[str, ...]
    skipped_faulty: tuple[str, ...]
    skipped_twin: tuple[str, ...]
    seconds_faulty: float
    seconds_twin: float

    @property
    def is_named(self) -> bool:
        """Whether one of the right codes was found on the faulty program."""
        return any(code in self.codes for code in self.faulty)

    @property
    def is_false_alarm(self) -> bool:
        """Whether anything was found on the twin."""
        return bool(self.twin)

    @property
    def is_first(self) -> bool:
        """Whether a right code is the first one that was found."""
        return bool(self.faulty) and self.faulty[0] in self.codes


def observe(name: str) -> Outcome:
    """What `tw.check` says of both programs of the fault of that name."""
    fault = find(name)
    faulty, seconds_faulty = _check(fault, faulty=True)
    twin, seconds_twin = _check(fault, faulty=False)
    return Outcome(
        name=fault.name,
        family=fault.family,
        codes=fault.codes,
        faulty=failing_codes(faulty),
        twin=failing_codes(twin),
        said_of_faulty=_causes(faulty),
        said_of_twin=_causes(twin),
        skipped_faulty=_skipped(faulty),
        skipped_twin=_skipped(twin),
        seconds_faulty=seconds_faulty,
        seconds_twin=seconds_twin,
    )


def observe_all(names: Sequence[str], processes: int = 1) -> Iterator[Outcome]:
    """What `tw.check` says of many, one after the other or in several processes."""
    if processes == 1:
        yield from map(observe, names)
        return
    # Processes that share the processors would only wait for each other's threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, torch.set_num_threads, (1,)) as pool:
        yield from pool.imap(observe, names)


def _check(fault: PlantedFault, faulty: bool) -> tuple[CheckReport, float]:
    arguments = fault.build(faulty)
    began = time.monotonic()
    report = arguments.check()
    return report, round(time.monotonic() - began, 2)


def _causes(report: CheckReport) -> tuple[str, ...]:
    failing = [finding for finding in report.findings if finding.severity in FAILING]
    return tuple(f"{f.severity} {f.code} {f.where}: {f.cause}" for f in failing)


def _skipped(report: CheckReport) -> tuple[str, ...]:
    return tuple(f"{v.check}: {v.skipped}" for v in report.verdicts if v.skipped)


def confusion(outcomes: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """For each planted code, and for the twins, how often each code was found.

    A fault counts as its first right code; a program in which several codes were found counts for
    each of them.
    """
    table: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        row = table.setdefault(outcome.codes[0], Counter())
        row.update(outcome.faulty or (NONE,))
    twins = Counter(code for outcome in outcomes for code in outcome.twin or (NONE,))
    return {**dict(sorted(table.items())), "healthy twin": twins}


def interval(hits: int, count: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper & Pearson 1934)."""
    found = binomtest(hits, count).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def share(hits: int, count: int) -> str:
    """Such as `"90 of 100, 90.0 % (82.4 to 95.1 %)"`."""
    low, high = interval(hits, count)
    return f"{hits} of {count}, {hits / count:.1%} (95 % interval {low:.1%} to {high:.1%})"


def totals(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Programs, and how many were named, named first, and wrongly alarmed about."""
    return {
        "planted": len(outcomes),
        "named": sum(outcome.is_named for outcome in outcomes),
        "named_first": sum(outcome.is_first for outcome in outcomes),
        "false_alarms": sum(outcome.is_false_alarm for outcome in outcomes),
    }


def to_dict(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Everything as plain JSON types."""
    counts = totals(outcomes)
    return {
        "outcomes": [{**asdict(o), "named": o.is_named} for o in outcomes],
        "confusion": {code: dict(row) for code, row in confusion(outcomes).items()},
        "totals": counts,
        "named_interval": interval(counts["named"], counts["planted"]),
        "false_alarm_interval": interval(counts["false_alarms"], counts["planted"]),
    }
