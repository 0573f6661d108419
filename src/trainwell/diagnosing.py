"""The verb `diagnose`: short replays confirm or dismiss what was found in a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainwell.api import load_run
from trainwell.errors import RecipeError, RunFolderError
from trainwell.findings import Finding
from trainwell.models.catalogue import ModelSpec, create_from
from trainwell.nn.losses import Loss
from trainwell.run import Run
from trainwell.training.checkpoint import newest_checkpoint
from trainwell.training.deterministic import only_deterministic
from trainwell.training.fitting import prepare
from trainwell.training.precision import Resolved
from trainwell.training.session import Setting
from trainwell.watching.replay import Proof, prove, with_proof

MOST_SUSPECTS = 3


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a run, and what replays say of it.

    Attributes:
        findings: Confirmed and open ones first; a dismissed one has become a note.
        proofs: By the code of the finding that was put on trial.
    """

    findings: tuple[Finding, ...]
    proofs: Mapping[str, Proof]

    def to_dict(self) -> dict[str, Any]:
        """This diagnosis as plain JSON types."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "proofs": [proof.to_dict() for proof in self.proofs.values()],
        }

    def __str__(self) -> str:
        if not self.findings:
            return "Nothing was found in this run."
        lines = []
        for finding in self.findings:
            proof = self.proofs.get(finding.code)
            outcome = f"{proof.outcome}: {proof}" if proof else "not on trial"
            lines += [f"{finding.severity}: {finding.code}: {finding.cause}", f"  {outcome}"]
        return "\n".join(lines)


def diagnose(
    run: Run | str | os.PathLike[str],
    *,
    model: nn.Module | None = None,
    data: Any = None,
    loss_fn: Loss | None = None,
    steps: int | None = None,
) -> Diagnosis:
    """Tries the remedies of the top suspects out, in short replays that are the same each time.

    A model of the catalogue starts from its first weights, another one from those of the newest
    checkpoint. The run is left as it is, but for its findings, which get the numbers.

    Args:
        run: A run, or its folder.
        model: Needed where the run trained a module of the user's own.
        data: Needed where the run was given Python objects.
        loss_fn: Needed where the run was given one.
        steps: Of each replay; None: 60, or as many as the momentum remembers, up to 600.

    Raises:
        RunFolderError: Not a run folder, or it is in use.
        DataError, ModelError: Data or model were not given again.
        RecipeError: Less than one step.
    """
    if steps is not None and steps < 1:
        raise RecipeError(f"a replay needs 1 step at least, not {steps}", where="steps")
    opened = run if isinstance(run, Run) else load_run(run, model=model, data=data, loss_fn=loss_fn)
    found = opened.findings
    suspects = [f for f in found if f.severity != "note"][:MOST_SUSPECTS]
    if not suspects:
        return Diagnosis(tuple(found), {})
    recipe = opened.recipe.replace(compile=False)
    with only_deterministic(recipe.deterministic):
        resolved = Resolved(**{**opened.about["resolved"], "compiled": False})
        setting = prepare(opened.model, opened.data, recipe, opened.loss_fn, resolved)
        weights = _first_weights(opened, setting)
        proofs = {
            suspect.code: proof
            for suspect in suspects
            if (proof := prove(suspect, setting, weights, steps)) is not None
        }
    judged = _order(with_proof(f, proofs[f.code]) if f.code in proofs else f for f in found)
    with opened.run_folder.lock():
        opened.run_folder.write_findings([finding.to_dict() for finding in judged])
    return Diagnosis(tuple(judged), proofs)


def _first_weights(run: Run, setting: Setting) -> Mapping[str, Tensor]:
    spec = run.about["model"]
    if "own" not in spec and setting.recipe.start_from is None:
        fresh = create_from(ModelSpec.from_dict(spec), setting.recipe.seed)
        return fresh.to(setting.device).state_dict()
    found = newest_checkpoint(run.run_folder.checkpoints)
    if found is None:
        raise RunFolderError("there is no checkpoint to start from", where=str(run.folder))
    return found[0].tensors["weights"]


def _order(findings: Any) -> Sequence[Finding]:
    """Notes last; the rest as it was."""
    return sorted(findings, key=lambda finding: finding.severity == "note")
