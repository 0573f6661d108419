"""Runs the suite of planted faults: `python -m tests.checks.planted`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tests.checks.planted.fault import PlantedFault
from tests.checks.planted.outcomes import observe_all, to_dict
from tests.checks.planted.registry import FAMILIES, FAULTS
from tests.checks.planted.tables import confusion_as_text, line_of, markdown, totals_as_text
from tests.checks.planted.twins import train_twin


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    faults = choose(options.only)
    if options.twins:
        return verify_twins(faults)
    outcomes = []
    progress = sys.stderr if options.json or options.markdown else sys.stdout
    for outcome in observe_all([fault.name for fault in faults], options.processes):
        outcomes.append(outcome)
        print(line_of(outcome), file=progress, flush=True)
    if options.json:
        print(json.dumps(to_dict(outcomes), indent=1))
    elif options.markdown:
        print(markdown(outcomes))
    else:
        print(f"\n{confusion_as_text(outcomes)}\n\n{totals_as_text(outcomes)}")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.checks.planted", description="What tw.check finds in faulty programs."
    )
    parser.add_argument("--only", action="append", help="a case or a family; may be repeated")
    parser.add_argument("--processes", type=int, default=1, help="that check side by side")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="tables for the documentation")
    form.add_argument("--twins", action="store_true", help="train the programs instead")
    return parser.parse_args(arguments)


def choose(only: Sequence[str] | None) -> list[PlantedFault]:
    if only is None:
        return list(FAULTS)
    known = {*(fault.name for fault in FAULTS), *(family.name for family in FAMILIES)}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"there is no case or family {unknown[0]!r}")
    return [fault for fault in FAULTS if fault.name in only or fault.family in only]


def verify_twins(faults: Sequence[PlantedFault]) -> int:
    """Prints what a plain training makes of each program; 1 where a twin learns nothing."""
    idle = 0
    for fault in faults:
        twin, faulty = train_twin(fault), train_twin(fault, faulty=True)
        idle += not twin.learned
        print(
            f"{'ok  ' if twin.learned else 'IDLE'} {fault.family}/{fault.name}: "
            f"twin {twin.before:.4g} to {twin.after:.4g} {twin.failure}; "
            f"faulty {faulty.before:.4g} to {faulty.after:.4g} {faulty.failure}",
            flush=True,
        )
    print(f"{len(faults) - idle} of {len(faults)} twins learn")
    return min(idle, 1)


if __name__ == "__main__":
    sys.exit(main())
