"""The command line: `trainwell VERB ...`. Nothing heavy is imported before a verb is run."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from trainwell.cli.process import SignalledError, leaving_on_signals, open_missing_streams

VERBS = {
    "check": "look at data, model and recipe before they are trained",
    "fit": "train a model on data; leaves a run folder with a report",
    "resume": "go on with a run that was stopped",
    "predict": "predict new examples with a trained run",
    "export": "write a run's model as safetensors and ONNX",
    "report": "write a run's HTML report",
    "models": "list the models and what is known of them",
}

DONE, SOMETHING_WRONG, BAD_INPUT = 0, 1, 2
DEBUG = "TRAINWELL_DEBUG"


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line, with the near miss named."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}\n")


def build_parser(verb: str | None) -> Parser:
    """The parser of the whole command line; only the arguments of one verb are filled in."""
    from trainwell.version import __version__

    parser = Parser(prog="trainwell", description="Trains neural networks and checks its own work.")
    parser.add_argument("--version", action="version", version=f"trainwell {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for name, summary in VERBS.items():
        child = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        child.add_argument("--json", action="store_true", help="print one JSON document")
        if name == verb:
            importlib.import_module(f"trainwell.cli.{name}").add_arguments(child)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after `trainwell`; None takes the process's own.

    Returns:
        The exit status: 0 done, 1 done and something is wrong, or a bug, 2 bad usage or bad input;
        128 and the signal's number after a signal.
    """
    open_missing_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = next((word for word in words if not word.startswith("-")), None)
    if first is not None and first not in VERBS:
        near = difflib.get_close_matches(first, VERBS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Verbs: {', '.join(VERBS)}"
        print(f"trainwell: there is no verb {first!r}. {hint}", file=sys.stderr)
        return BAD_INPUT
    parser = build_parser(first)
    options = parser.parse_args(words)
    if options.verb is None:
        parser.print_help()
        return DONE
    return run_safely(lambda: importlib.import_module(f"trainwell.cli.{options.verb}").run(options))


def run_safely(command: Callable[[], int]) -> int:
    """Runs a command; a user's error becomes one line and an exit status, never a traceback."""
    from trainwell.cli.output import say
    from trainwell.errors import Interrupted, TrainwellError

    try:
        with leaving_on_signals():
            return command()
    except SignalledError as left:
        say(f"stopped by {signal.Signals(left.number).name}; what was saved is whole")
        return 128 + left.number
    except Interrupted as stopped:
        say(str(stopped))
        return 128 + stopped.signal_number
    except TrainwellError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        say("stopped at once; what was saved is whole")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        reason = " ".join(str(error).split())[:200]
        say(
            f"error: this is a bug in trainwell, please report it: {type(error).__name__}: "
            f"{reason}. Set {DEBUG}=1 to see the traceback"
        )
        return SOMETHING_WRONG
