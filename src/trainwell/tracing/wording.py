"""Says in sentences where a value that is not finite came from, and what helps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from trainwell.tracing.origin import Origin

MOST_ROWS = 10

_LOGARITHM = (
    "Clamp its argument to a small positive number, or take log_softmax (cross_entropy) or "
    "binary_cross_entropy_with_logits of the outputs as they are: they never take the log of 0."
)
_DOMAIN = "Clamp its argument to where the function is defined, by a margin of 1e-6."
_DIVISION = "Add an eps to the denominator (1e-6), or leave out what has none."
_SPREAD = "Use a batch of more than one example, or correction=0."
_MASK = (
    "Leave one place unmasked in every row of the mask, or set the result of rows that are masked "
    "throughout to 0."
)
_SCALE = "Scale the numbers that go in, or clamp them."
_RECURRENT = (
    "Bound the state (tanh, an LSTM or GRU, layer norm), draw orthogonal recurrent weights, clip "
    "the gradients' norm, or cut the sequences shorter."
)
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(("log", "log2", "log10", "log1p", "logit"), _LOGARITHM),
    **dict.fromkeys(("acos", "asin", "atanh", "acosh", "pow", "lgamma", "erfinv", "sqrt", "rsqrt"),
                    _DOMAIN),
    **dict.fromkeys(("div", "reciprocal", "true_divide", "nanmean", "mean"), _DIVISION),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), _SPREAD),
    **dict.fromkeys(("softmax", "log_softmax", "scaled_dot_product_attention",
                     "multi_head_attention_forward"), _MASK),
    **dict.fromkeys(("cross_entropy", "nll_loss"),
                    "Skip batches whose targets all have the ignore_index, or divide a summed loss "
                    "by the number of known targets, at least 1."),
    **dict.fromkeys(("cumprod", "prod"),
                    "Add logarithms instead of multiplying numbers (cumsum of log)."),
}  # fmt: skip
"""By the operation whose result is not finite."""
OVERFLOWS: Mapping[str, str] = {
    **dict.fromkeys(
        ("exp", "exp2", "expm1", "sinh", "cosh"),
        "Clamp its argument (to 20, say), or take softmax, logsumexp or softplus of the outputs as "
        "they are: they subtract the largest first.",
    ),
    **dict.fromkeys(("cumprod", "prod"), REMEDIES["prod"]),
}
"""By the operation that overflows."""
SLOPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("sqrt", "rsqrt", "norm", "hypot", "pow"),
        "Add an eps inside the root, sqrt(x + 1e-12): clamping or choosing afterwards does not "
        "help, for the backward pass multiplies its infinite slope by 0.",
    ),
    **dict.fromkeys(("acos", "asin", "atanh"), _DOMAIN),
    **dict.fromkeys(("div", "reciprocal", "atan2"), _DIVISION),
    **dict.fromkeys(("log", "log2", "log10", "log1p", "logit"), _LOGARITHM),
}
"""By the operation whose backward pass is not finite."""


def describe_origin(origin: Origin) -> str:
    """Half a sentence: what gave the first value that is not finite, for which rows."""
    rows = name_rows(origin.rows)
    match origin.kind:
        case "inputs" | "targets":
            return f"the {origin.kind} have it already{rows and f', in {rows}'}"
        case "parameter":
            return f"{origin.place} had it from the start{rows and f'; it is used by {rows}'}"
        case "rate":
            return "the learning rate is not finite"
        case "update":
            return f"the optimiser's update of {origin.place} gives it, of finite gradients"
        case "weights":
            return f"{origin.place} is not finite after an update; by what is not known"
        case "loss":
            return f"it comes out of {origin.where}"
        case "gradient":
            return (
                f"the backward pass of {_show_place(origin)}{_show_repeats(origin)} gives a "
                f"gradient of {origin.value:g}{rows and f' for {rows}'}"
            )
        case "operation":
            return (
                f"it comes out of {_show_place(origin)}{_show_repeats(origin)}"
                f"{rows and f', for {rows}'}{_show_numbers(origin)}"
            )


def describe_overflow(origin: Origin) -> str:
    """Half a sentence: what overflowed at the end of a growth."""
    if origin.kind == "weights":
        return f"{origin.place} was not finite"
    passed = "the backward pass of " if origin.kind == "gradient" else ""
    return f"{passed}{_show_place(origin)}{_show_repeats(origin)} overflowed"


def propose_remedy(origin: Origin) -> str:
    """What helps, as a sentence or two."""
    name = origin.operation
    if origin.kind in ("inputs", "targets"):
        return f"Look at these rows of the {origin.kind}: drop or mend what is not finite."
    if origin.kind == "parameter":
        return f"Look at the row of {origin.place} that is not finite, and draw it anew."
    if origin.kind == "rate":
        return "Mend the schedule: it goes past its end, or divides by zero."
    if origin.kind == "update":
        return "Give the optimiser an eps above zero: a gradient of exactly 0 is divided by it."
    if origin.half:
        return (
            "Compute this in float32 or bfloat16 (float16 ends at 65504), or scale the numbers "
            "down before."
        )
    if origin.repeats > 3 or name.startswith("rnn_"):
        return _RECURRENT
    if origin.kind == "gradient":
        return SLOPES.get(name, "Clip the gradients' norm, or look at this operation's derivative.")
    if origin.overflows:
        return OVERFLOWS.get(name, f"{_SCALE} Else lower the learning rate or clip the gradients.")
    known = [REMEDIES[word] for word in name.replace(",", "").split() if word in REMEDIES]
    return known[0] if known else "Look there first; else lower the learning rate."


def name_rows(rows: tuple[int, ...]) -> str:
    """`"row 3"` or `"rows 3, 5"`; of many, the first ten; empty of none."""
    if not rows:
        return ""
    more = f" and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:MOST_ROWS]))}{more}"


def _show_place(origin: Origin) -> str:
    return f"{origin.where} ({origin.line})" if origin.line else origin.where


def _show_repeats(origin: Origin) -> str:
    return f" (repetition {origin.repeats})" if origin.repeats > 3 else ""


def _show_numbers(origin: Origin) -> str:
    if origin.meant:
        return f": all that it gets there is masked, so it gives {origin.value:g}"
    if not origin.arguments or not all(map(math.isfinite, origin.arguments)):
        return ""
    shown = " and ".join(f"{number:.6g}" for number in origin.arguments)
    return f": it gets {shown} and gives {origin.value:g}"
