"""What `fit --prove` says of the remedies that it tried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainwell.cli.output import say

if TYPE_CHECKING:
    from torch import nn

    from trainwell.run import Run


def tell_proofs(run: Run | str, model: nn.Module) -> None:
    """Tries out the remedies of what was found in a run; the findings get the numbers.

    Args:
        run: The run, or its folder.
        model: That was trained.
    """
    from trainwell.diagnosing import diagnose

    for proof in diagnose(run, model=model).proofs.values():
        say(f"{proof.outcome}: {proof.code}: {proof}")
