"""The machine of a training: its device, and what could change the bits."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from trainwell.errors import RecipeError


def choose_device(name: str) -> torch.device:
    """The device of a recipe.

    Raises:
        RecipeError: torch does not know it, or this machine does not have it.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"device {name!r} cannot be used: {reason}", where="recipe", remedy="Use auto or cpu"
        ) from error
    return device


def describe_environment(device: torch.device) -> Mapping[str, str]:
    """Versions and machine, as the run folder keeps them."""
    import platform

    import numpy

    from trainwell.version import __version__

    return {
        "trainwell": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
    }
