"""What gives the target away, and validation examples that the training has too."""

from __future__ import annotations

from collections.abc import Iterable

from trainwell.findings import Finding
from trainwell.watching.data_facts import DataFacts
from trainwell.watching.history import History
from trainwell.watching.rules.evidence import skill


def judge_leaks(history: History) -> Iterable[Finding]:
    """Leaks of the target into the inputs, and of the validation into the training."""
    yield from _foresight(history)
    data = history.data
    if data is None:
        return
    share = data.shared / data.valid_examples if data.valid_examples else 0.0
    repeated = 1 - data.distinct
    natural = data.coincides and data.agreeing < 0.9 and share < max(3 * repeated, 0.05)
    # The same inputs come again with other targets: as pairs of a user and an item do.
    natural |= not data.class_counts and repeated > 0.02 and data.agreeing < 0.5
    # Inputs that were cut to a few values are another fault.
    whole = bool(data.class_counts) and data.contradicted < 0.01 and not data.coincides
    fine = data.distinct > 0.5 or data.agreeing > 0.9 or whole
    if share > 0.02 and data.shared >= 3 and fine and not natural:
        yield Finding(
            code="train_val_leak",
            severity="error" if share > 0.2 else "warning",
            step=history.step,
            evidence={"shared_examples": data.shared, "valid_examples": data.valid_examples},
            cause=f"{data.shared} of {data.valid_examples} validation examples are training "
            "examples too: the validation says nothing about new data.",
            remedy="Remove duplicates before the data is split.",
            reference="Kaufman et al. 2012",
        )
    elif _comes_in_families(history, data):
        yield Finding(
            code="train_val_leak",
            severity="warning",
            step=history.step,
            evidence={"spacing": data.spacing, "valid_spacing": data.valid_spacing},
            cause="Examples come in families: next to a validation example lie training examples "
            f"that are much nearer than the others (exponent {data.valid_spacing:.1f}, about 1 "
            "expected), as records of one patient, frames of one film or changed copies do.",
            remedy="Split by family (scikit-learn's GroupKFold), so that each is in one part only.",
            reference="Kaufman et al. 2012",
        )
    limit = 0.98 if history.is_classification else 0.9995
    if data.leak_strength > limit and data.features > 1 and skill(history) > 0.5:
        yield Finding(
            code="label_leak",
            severity="warning",
            where=f"feature {data.leak_column}",
            step=history.step,
            evidence={"feature": data.leak_column, "strength": data.leak_strength},
            cause=f"Feature {data.leak_column} alone gives the target: it is made from it.",
            remedy="Take out features that are not known when a prediction is to be made.",
            reference="Kaufman et al. 2012",
        )
    else:
        yield from _partial_leak(history, data)


def _foresight(history: History) -> Iterable[Finding]:
    """A model of next symbols whose outputs know what is to come."""
    probe = history.probe
    if probe is None or not probe.foresight > 1e-3:
        return
    yield Finding(
        code="label_leak",
        severity="error",
        step=history.step,
        evidence={"change_with_later_inputs": probe.foresight},
        cause="Each position is to predict the next one's input, but its outputs change by "
        f"{100 * probe.foresight:.2g} % of their deviation with the last input: the model sees "
        "what it is to predict.",
        remedy="Mask attention to later positions (is_causal=True), pad convolutions on the left "
        "only, and use recurrent layers of one direction.",
        reference="Vaswani et al. 2017, section 3.2.3",
    )


def _comes_in_families(history: History, data: DataFacts) -> bool:
    """Whether examples have siblings, some of them on the other side of the split."""
    near = data.valid_spacing
    single = data.distinct > 0.9 and not data.coincides and data.features > 2
    return single and near > 1.6


def _partial_leak(history: History, data: DataFacts) -> Iterable[Finding]:
    """A feature that gives the target away in most examples, or nearly."""
    divides = data.dividing_skill > 0.94 and 0.1 < data.others_skill < data.dividing_skill - 0.2
    copies = data.copied_share > 0.05
    if not (divides or copies):
        yield from _following_leak(history, data)
        return
    column = data.dividing_column if divides else data.copied_column
    yield Finding(
        code="label_leak",
        severity="warning",
        where=f"feature {column}",
        step=history.step,
        evidence=(
            {"skill_of_one_limit": data.dividing_skill, "skill_of_others": data.others_skill}
            if divides
            else {"share_of_copies": data.copied_share}
        ),
        cause=(
            f"One limit on feature {column} tells the classes apart with a skill of "
            f"{data.dividing_skill:.2f}, all other features together with "
            f"{data.others_skill:.2f}: it may be known only afterwards."
            if divides
            else f"Feature {column} is the very target in {100 * data.copied_share:.0f} % of the "
            "examples: it is made from it."
        ),
        remedy="Take out features that are not known when a prediction is to be made; encode "
        "categories by the targets of other examples only.",
        reference="Kaufman et al. 2012",
    )


def _following_leak(history: History, data: DataFacts) -> Iterable[Finding]:
    """A feature that follows a regression's target, which all others together do not explain."""
    single = data.leak_strength**2
    if history.is_classification or data.leak_strength < 0.95 or data.features < 3:
        return
    if not 0.05 < data.others_skill < single - 0.3:
        return
    yield Finding(
        code="label_leak",
        severity="warning",
        where=f"feature {data.leak_column}",
        step=history.step,
        evidence={"correlation": data.leak_strength, "explained_by_others": data.others_skill},
        cause=f"Feature {data.leak_column} has a correlation of {data.leak_strength:.3f} with the "
        f"target, of whose variance all other features explain {100 * data.others_skill:.0f} %: it "
        "may be made from the target, or be measured after it.",
        remedy="Take out features that are not known when a prediction is to be made.",
        reference="Kaufman et al. 2012",
    )
