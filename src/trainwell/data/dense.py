"""Tensors of a user, as plain numbers in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from trainwell.errors import DataError


def as_dense(values: Tensor, what: str, *, where: str) -> Tensor:
    """The tensor on the host, without its history.

    Args:
        values: As the user gave it.
        what: `"inputs"` or `"targets"`, for the message.
        where: The source, for the message.

    Raises:
        DataError: Sparse, nested, without values, complex or quantised.
    """
    unusual = {
        "have no values (they are on the meta device)": values.is_meta,
        "are nested": values.is_nested,
        "are sparse": values.layout != torch.strided,
        "are complex numbers": values.is_complex(),
        "are quantised": values.is_quantized,
    }
    found = next((words for words, holds in unusual.items() if holds), None)
    if found is not None:
        raise DataError(
            f"the {what} {found}",
            where=where,
            remedy="Give a dense tensor of real numbers",
        )
    return values.detach().cpu()
