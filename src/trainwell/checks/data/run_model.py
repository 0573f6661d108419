"""A model run on some examples to see what comes out, or why nothing does."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.checks.subject import Subject
from trainwell.errors import first_line
from trainwell.training.evaluation import evaluating


def run_or_none(subject: Subject, inputs: Tensor) -> tuple[Tensor | None, str]:
    """Outputs in evaluation mode, and why there are none.

    Args:
        subject: Its model is run.
        inputs: As `Subject.examples` gives them.

    Returns:
        Outputs and an empty text; None and the failure; None and an empty text where the model puts
        out something else than a tensor.
    """
    try:
        with evaluating(subject.model), torch.inference_mode():
            outputs = subject.model(inputs)
    except Exception as error:
        return None, first_line(error)
    return (outputs, "") if isinstance(outputs, Tensor) else (None, "")
