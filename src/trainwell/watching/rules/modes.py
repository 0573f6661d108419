"""Training and evaluation mode, and batch normalisation, which differs between them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.evaluation_calls import NOTHING_HEARD
from trainwell.watching.history import History
from trainwell.watching.readings import NormReading
from trainwell.watching.rules.evidence import late, middle, skill


def judge_modes(history: History) -> Iterable[Finding]:
    """The wrong mode, and batch statistics that cannot be right."""
    found = [*_mode(history), *_always_in_training(history)]
    yield from found or _validates_otherwise(history)
    yield from _batch_norm(history)


def _always_in_training(history: History) -> Iterable[Finding]:
    """Functions that do in evaluation mode what is for the training alone."""
    calls = history.probe.evaluation if history.probe is not None else NOTHING_HEARD
    if calls.dropout:
        yield Finding(
            code="eval_mode_bug",
            severity="warning",
            step=history.step,
            evidence={"dropout": calls.dropout},
            cause=f"In evaluation mode a function still drops {100 * calls.dropout:.0f} % of what "
            "it gets: predictions are drawn by chance.",
            remedy="Unless predictions are to be drawn, pass training=self.training to "
            "functional.dropout (dropout_p=0 to attention outside of training), or use nn.Dropout.",
            reference="PyTorch documentation of functional.dropout",
            source=calls.line,
        )
    elif _is_drawn(history):
        yield _report_chance(history)
    if calls.batch_statistics:
        yield Finding(
            code="batchnorm_misuse",
            severity="warning",
            step=history.step,
            cause="In evaluation mode functional.batch_norm still takes the statistics of what it "
            "gets, so a prediction depends on what else is in the batch.",
            remedy="Use nn.BatchNorm, which keeps running statistics for evaluation mode, or "
            "nn.LayerNorm to normalise each example by itself.",
            reference="Ioffe & Szegedy 2015",
            source=calls.line,
        )


def _is_drawn(history: History) -> bool:
    """Whether predictions of a model that learns from targets differ from pass to pass.

    What reproduces its inputs may well draw its codes, as a variational autoencoder does.
    """
    probe, told = history.probe, history.epochs
    variation = probe.variation if probe is not None else math.nan
    predicts = history.is_classification or history.facts.task == "regression"
    if probe is None or not math.isfinite(probe.train.loss):
        return False  # what is put out is no answer to the targets
    return variation > 0.05 and predicts and bool(told or history.modes.passes_in_eval)


def _report_chance(history: History) -> Finding:
    probe = history.probe
    variation = probe.variation if probe is not None else math.nan
    return Finding(
        code="eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"variation": variation},
        cause="In evaluation mode two passes of the same examples give outputs that differ by "
        f"{100 * variation:.0f} % of their standard deviation: something is drawn by chance in "
        "each prediction.",
        remedy="Unless predictions are to be drawn, let noise and masks depend on self.training.",
        reference="PyTorch documentation of Module.eval",
    )


def _mode(history: History) -> Iterable[Finding]:
    modes, facts = history.modes, history.facts
    differs = facts.dropout > 0 or facts.batch_norms > 0
    if not differs or modes.steps < 10:
        return
    part = " and ".join(
        name
        for name, there in (("dropout", facts.dropout > 0), ("batch norm", facts.batch_norms > 0))
        if there
    )
    if modes.steps_in_eval > 0.25 * modes.steps:
        yield Finding(
            code="eval_mode_bug",
            severity="error",
            step=history.step,
            evidence={"steps": modes.steps, "steps_in_eval": modes.steps_in_eval},
            cause=f"{modes.steps_in_eval} of {modes.steps} updates were made with the model in "
            f"evaluation mode, so its {part} did not do what it does in training.",
            remedy="Call model.train() before the training steps of each epoch, after the "
            "validation has called model.eval().",
            reference="PyTorch documentation of Module.eval",
        )
    elif modes.traced:
        yield Finding(
            code="eval_mode_bug",
            severity="warning",
            step=history.step,
            evidence={"traced_passes": modes.traced},
            cause=f"The model was traced in training mode, so {part} stays active in the traced "
            "copy whatever its mode.",
            remedy="Call model.eval() before torch.jit.trace().",
            reference="PyTorch documentation of torch.jit.trace",
        )
    elif modes.relapses >= 2 and modes.relapses >= 0.5 * modes.occasions:
        yield Finding(
            code="eval_mode_bug",
            severity="warning",
            step=history.step,
            evidence={"validations": modes.relapses},
            cause=f"In {modes.relapses} validations the first batch went through the model in "
            f"evaluation mode and the next in training mode: {part} was active from then on.",
            remedy="Call model.eval() once before the validation and model.train() after it, in no "
            "function that is called for each batch.",
            reference="PyTorch documentation of Module.eval",
        )
    # One that is made with nearly every update is a part of the training, as in a GAN.
    elif 2 <= modes.occasions < 0.5 * modes.steps and not modes.passes_in_eval:
        yield Finding(
            code="eval_mode_bug",
            severity="warning",
            step=history.step,
            evidence={"passes_without_gradients": modes.passes_in_training},
            cause=f"All {modes.passes_in_training} forward passes without gradients, so the "
            f"validation, ran in training mode: {part} was active in them.",
            remedy="Call model.eval() before the validation and model.train() after it.",
            reference="PyTorch documentation of Module.eval",
        )


def _validates_otherwise(history: History) -> Iterable[Finding]:
    """The validation's own loss is far above that of the same examples in evaluation mode."""
    graph, probe, facts = history.graph, history.probe, history.facts
    plain = graph is not None and graph.named and graph.reduction == "mean" and not graph.around
    # A loss that weights classes is another one than ours.
    plain = plain and abs(history.loss_factor - 1) < 0.05
    if probe is None or not plain or not (facts.batch_norms or facts.dropout) or not history.epochs:
        return
    last = history.epochs[-1]
    told, own = last.values.get("valid_loss", math.nan), probe.valid.loss
    # A loss that weights examples is another in the training too, dropout apart.
    trained = max(
        (x for x in (probe.on_train.loss, probe.as_trained.loss) if x > 0), default=math.inf
    )
    own *= max(1.0, last.values.get("train_loss", math.nan) / trained)
    same_weights = last.step == history.modes.steps
    if not same_weights or not told > 1.5 * own or told - own < 0.1 * history.chance:
        return
    modes = history.modes
    in_batches = facts.batch_norms > 0 and facts.norms_by_batch and not modes.occasions
    # Without a pass of its own besides those of the training, another copy is validated.
    by_copy = (
        facts.batch_norms > 0
        and not (modes.passes_in_eval or modes.occasions)
        and modes.passes_per_update < 1.02
    )
    yield Finding(
        code="batchnorm_misuse" if in_batches or by_copy else "eval_mode_bug",
        severity="warning",
        step=history.step,
        evidence={"valid_loss_told": told, "valid_loss": own},
        cause=f"The validation says a loss of {told:.3g}, but all of its examples together have "
        f"{own:.3g} in evaluation mode: "
        + (
            "batch norm keeps no running statistics, so each prediction depends on its batch."
            if in_batches
            else "it uses a copy of the model, whose running statistics of batch norm are not the "
            "model's."
            if by_copy
            else "its passes were made in training mode, or in batches that change the predictions."
        ),
        remedy="Copy the whole state_dict(), buffers too."
        if by_copy
        else "Keep running statistics (track_running_stats=True) and call model.eval() before the "
        "validation.",
        reference="Ioffe & Szegedy 2015",
    )


def _batch_norm(history: History) -> Iterable[Finding]:
    readings = [r for r in history.readings if r.norms]
    if len(readings) < 3:
        return
    names = [n.name for n in readings[-1].norms]
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
