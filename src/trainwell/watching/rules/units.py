"""Units that no longer answer: dead ReLUs, saturated sigmoids and tanhs."""

from __future__ import annotations

from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import ENOUGH_STEPS, late, middle, signal_left, skill


def judge_units(history: History) -> Iterable[Finding]:
    """Units over windows, never over one batch."""
    if history.trend.count >= ENOUGH_STEPS:
        yield from _dead(history)
        yield from list(_saturated(history)) or _shut_gates(history)


def _shut_gates(history: History) -> Iterable[Finding]:
    bias = history.facts.first_gates
    if bias < 7 or skill(history) > 0.8:  # chrono initialisation gives ln(T) (Tallec & Ollivier)
        return
    yield Finding(
        code="saturated_units",
        severity="error" if skill(history) < 0.4 else "warning",
        step=0,
        evidence={"gate_bias": bias},
        cause=f"A gate of a recurrent layer began with a bias of {bias:.3g}, so that it is always "
        "open or always shut, whatever comes in, and gets next to no gradient.",
        remedy="Begin with biases of 0 to 3; 1 for the forget gate of an LSTM.",
        reference="Jozefowicz et al. 2015",
    )


def _dead(history: History) -> Iterable[Finding]:
    if 0 < history.facts.narrowest <= 2:
        return  # a bottleneck of one or two units is what ails it
    windows = [w for w in history.windows if w]
    windows = windows[-max(3, len(windows) // 2) :][-6:]
    rows = [u for w in windows for u in w if u.kind == "relu" and u.units >= 4]
    worst: tuple[float, str] = (0.0, "")
    for name in {u.name for u in rows}:
        own = [u for u in rows if u.name == name]
        if sum(u.examples for u in own) >= 100:
            worst = max(worst, (min(u.stuck for u in own), name))
    if signal_left(history) < 0.02:
        return  # what hardly changes from example to example is above zero always or never
    share, name = worst
    learned = skill(history)
    first = dead_at_start(history, name)
    from_the_start = share > 0.6 and first > 0.6 and learned < 0.9
    dead = (
        from_the_start
        or share > 0.9
        or (share > 0.5 and learned < 0.8)
        or (share > 0.75 and first > 0.75)
    )
    if not dead or learned > (0.96 if first > 0.75 else 0.93):
        return
    if share < 0.75 and _reaches_neighbours(history):
        return
    yield Finding(
        code="dying_relu",
        severity="error" if learned < 0.5 else "warning",
        where=name,
        step=history.step,
        evidence={"dead_share": share, "dead_share_at_start": first},
        cause=f"{100 * share:.0f} % of the ReLUs after {name!r} are zero for every example seen, "
        "so they get no gradient and cannot come back.",
        remedy="Lower the learning rate, start biases at 0 and weights at He's scale, or use a "
        "leaky ReLU.",
        reference="Lu et al. 2019 (Dying ReLU)",
    )


def _reaches_neighbours(history: History) -> bool:
    """Whether a regression explains about what the nearest neighbours do: no unit is missing."""
    data = history.data
    if data is None or history.is_classification:
        return False
    return 1 - history.trend.level > data.neighbour_fit - 0.05


def dead_at_start(history: History, name: str = "") -> float:
    """Share of dead ReLUs in the first window, of a layer or of the worst one."""
    shares = [
        u.stuck
        for w in history.windows[:1]
        for u in w
        if u.kind == "relu" and u.units >= 4 and name in ("", u.name)
    ]
    return max(shares, default=0.0)


def _saturated(history: History) -> Iterable[Finding]:
    shares: dict[str, list[float]] = {}
    for reading in late(history):
        for layer in reading.layers:
            if layer.kind in ("sigmoid", "tanh", "softmax"):
                shares.setdefault(layer.name, []).append(layer.share)
    typical = {name: middle(values) for name, values in shares.items()}
    if not typical:
        return
    share, name = max((share, name) for name, share in typical.items())
    if not share > 0.6 or skill(history) > (0.9 if share > 0.95 else 0.8):
        return
    yield Finding(
        code="saturated_units",
        severity="error" if skill(history) < 0.4 else "warning",
        where=name,
        step=history.step,
        evidence={"saturated_share": share},
        cause=f"{100 * share:.0f} % of the activations after {name!r} are at the ends of their "
        "range, where the slope is nearly zero.",
        remedy="Scale the inputs, draw smaller first weights (Glorot & Bengio 2010), or lower the "
        "learning rate.",
        reference="Glorot & Bengio 2010",
    )
