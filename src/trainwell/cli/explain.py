"""What `trainwell fit --explain` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainwell.cli.main import DONE
from trainwell.cli.output import plain, print_json

if TYPE_CHECKING:
    from trainwell.explanation import Explanation


def tell_plan(explanation: Explanation, *, as_json: bool) -> int:
    """Prints every recipe value with its reason, and the planned rate; gives the exit status."""
    if as_json:
        print_json(explanation.to_dict())
    else:
        print(plain(str(explanation)))
    return DONE
