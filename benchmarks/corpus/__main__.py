"""How often is a watcher right about trainings whose fault is known?

python -m benchmarks.corpus --half development
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.corpus.program import HALVES, split_halves
from benchmarks.corpus.programs import PROGRAMS
from benchmarks.corpus.running import Result, list_trainings, run_all
from benchmarks.corpus.tables import confuse, format_confusion, format_result, summarise
from benchmarks.corpus.watchers import WATCHERS


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    halves = split_halves(list(PROGRAMS.values()))
    chosen = [
        program
        for program in PROGRAMS.values()
        if options.half in ("all", halves[program.name])
        and (not options.programs or program.name in options.programs)
        and (not options.version or program.version == options.version)
        and (not options.family or program.family == options.family)
    ]
    results = []
    for result in run_all(list_trainings(chosen), options.watcher, options.jobs):
        results.append(result)
        print(format_result(result), file=sys.stderr if options.json else sys.stdout, flush=True)
        if result.error and options.programs:
            print(result.error, file=sys.stderr)
    print(as_json(results, options) if options.json else as_text(results, options))


def as_text(results: Sequence[Result], options: argparse.Namespace) -> str:
    seconds = sum(result.seconds for result in results)
    version = f", version {options.version}" if options.version else ""
    head = f"{options.watcher} on the half: {options.half}{version}; {seconds:.0f} s of training"
    shares = "\n".join(map(str, summarise(results)))
    return f"\n{head}\n{shares}\n\n{format_confusion(confuse(results))}"


def as_json(results: Sequence[Result], options: argparse.Namespace) -> str:
    return json.dumps(
        {
            "watcher": options.watcher,
            "half": options.half,
            "version": options.version,
            "summary": {share.title.strip(): share.to_dict() for share in summarise(results)},
            "confusion": confuse(results),
            "results": [asdict(result) for result in results],
        }
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="corpus", description="How right a watcher is.")
    add = parser.add_argument
    add("--half", choices=(*HALVES, "all"), default="development")
    add("--program", dest="programs", choices=PROGRAMS, action="append", metavar="NAME")
    add("--family", choices=sorted({program.family for program in PROGRAMS.values()}))
    versions = sorted({program.version for program in PROGRAMS.values()})
    add("--version", type=int, choices=versions, help="only what this version brought")
    add("--watcher", choices=WATCHERS, default="trainwell")
    add("--jobs", type=int, default=1, metavar="N", help="processes")
    add("--json", action="store_true", help="one JSON document; lines go to standard error")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
