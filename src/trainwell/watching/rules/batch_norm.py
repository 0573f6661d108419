"""Batch normalisation, whose statistics differ between training and evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.history import History
from trainwell.watching.readings import NormReading
from trainwell.watching.rules.evidence import late, middle, skill


def judge_batch_norm(history: History) -> Iterable[Finding]:
    """Statistics of batches and running ones, which must fit each other and the data."""
    readings = [r for r in history.readings if r.norms]
    if len(readings) < 3:
        return
    names = list(dict.fromkeys(n.name for n in readings[-1].norms))
    for name in names:
        rows = [n for r in readings for n in r.norms if n.name == name]
        recent = [n for r in late(history, 0.3) for n in r.norms if n.name == name]
        found = _judge_norm(history, name, rows, recent)
        if found is not None:
            yield found
            return
    if history.facts.ends_with_norm and skill(history) < 0.9:
        yield Finding(
            code="batchnorm_misuse",
            severity="warning",
            where=names[-1],
            step=history.step,
            evidence={"loss_last": history.trend.last},
            cause=f"The outputs come out of batch norm {names[-1]!r}, which gives each batch mean "
            "0 and standard deviation 1 whatever the targets are.",
            remedy="Put batch norm between layers, not after the last.",
            reference="Ioffe & Szegedy 2015",
        )
        return
    yield from _disagreement(history)


def _judge_norm(
    history: History, name: str, rows: list[NormReading], recent: list[NormReading]
) -> Finding | None:
    values = middle(n.values for n in rows)
    gap, spread = middle(n.mean_gap for n in recent), middle(n.variance_gap for n in recent)
    momentum = rows[-1].momentum
    evidence = {"values_per_channel": values, "mean_gap": gap, "variance_gap": spread}
    training = sum(n.training for n in rows) > 0.5 * len(rows)
    if training and (values < 4 or (values == 4 and skill(history) < 0.7)):
        cause = f"Batch norm {name!r} takes its statistics from {values:.0f} values a channel."
        remedy = "Use batches of 16 or more, or GroupNorm or LayerNorm."
    elif training and (momentum <= 0.001 or momentum >= 0.7) and (gap > 0.3 or spread > 0.3):
        cause = (
            f"Batch norm {name!r} mixes a share of {momentum:g} of each batch into its running "
            f"statistics, which are {gap:.2g} standard deviations from those of the batches."
        )
        remedy = "Set momentum to 0.1: in PyTorch it is the share of the new batch."
    elif training and max(n.call for n in recent) > 1 and gap > 0.3 and spread > 0.7:
        cause = (
            f"Batch norm {name!r} is called {max(n.call for n in recent)} times in each pass, for "
            "values of different distributions: its running statistics are a mixture, "
            f"{gap:.2g} standard deviations from each of them."
        )
        remedy = "Give each stream of values a batch norm of its own, or use LayerNorm."
    # Variances alone lag behind in healthy trainings too, while the rate is at its highest.
    elif training and history.step >= 60 and gap > 1 and _differs(history):
        cause = (
            f"The running statistics of batch norm {name!r} are {gap:.2g} standard deviations "
            "from those of the batches, so the model does something else in evaluation mode."
        )
        remedy = "Let the running statistics follow (momentum 0.1), or lower the learning rate."
    elif not training and (gap > 1 or spread > 1.5) and not history.modes.steps_in_eval:
        cause = (
            f"Batch norm {name!r} is in evaluation mode in the training, with running statistics "
            f"that are {gap:.2g} standard deviations from those of the batches."
        )
        remedy = "Call train() on it, or freeze it only after its statistics fit the data."
    else:
        return None
    return Finding(
        code="batchnorm_misuse",
        severity="warning",
        where=name,
        step=history.step,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
        reference="Ioffe & Szegedy 2015; Wu & He 2018",
    )


def _differs(history: History) -> bool:
    """Whether evaluation mode is worse on the same examples; not where that was not tried."""
    probe = history.probe
    if probe is None or not math.isfinite(probe.train.loss):
        return False
    drop = probe.as_trained.accuracy - probe.train.accuracy
    if math.isfinite(drop) and drop < 0.03:
        return False
    return probe.train.loss > 1.5 * probe.as_trained.loss


def _disagreement(history: History) -> Iterable[Finding]:
    probe = history.probe
    if probe is None or history.facts.dropout > 0 or history.step < 60:
        return
    drop = probe.as_trained.accuracy - probe.train.accuracy
    ratio = probe.train.loss / max(probe.as_trained.loss, 1e-3)
    is_worse = drop > 0.2 if math.isfinite(drop) else ratio > 4
    if is_worse and ratio > 2 and history.facts.batch_norms:
        yield Finding(
            code="batchnorm_misuse",
            severity="warning",
            step=history.step,
            evidence={"loss_eval": probe.train.loss, "loss_train": probe.as_trained.loss},
            cause="On the same training examples the loss is "
            f"{probe.as_trained.loss:.3g} in training mode but {probe.train.loss:.3g} in "
            "evaluation mode: the running statistics of batch norm do not fit the data.",
            remedy="Use larger batches and momentum 0.1, and shuffle the examples.",
            reference="Ioffe & Szegedy 2015",
        )
