"""A training that mends itself: what a replay proves is put in force, and the training goes on.

A remedy is tried in short replays from the first weights and, where that proves nothing and the
training is under way, from those of the newest checkpoint. One that is confirmed changes the
recipe, and the training starts again from its last good state. A repair of a training that had
ended is taken back where the validation loss ends no lower for it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from trainwell.errors import NonFiniteError
from trainwell.findings import Finding
from trainwell.training.checkpoint import Checkpoint, NonFiniteWeightsError
from trainwell.training.fitting import run_training
from trainwell.training.going_back import (
    FIRST_STEP,
    kept_checkpoints,
    start_repair,
    take_back,
)
from trainwell.training.observer import Observer
from trainwell.training.recipe import Recipe
from trainwell.training.repairs import (
    NOT_REPAIRED,
    Repair,
    StartAgain,
    keep_repair,
    reached_valid_loss,
    read_repairs,
)
from trainwell.training.run_folder import RunFolder
from trainwell.training.session import Setting
from trainwell.training.signals import StopRequest
from trainwell.training.step_watch import StepWatch
from trainwell.training.watched_run import OpenWatch
from trainwell.watching.causes import rank
from trainwell.watching.remedies import MENDABLE
from trainwell.watching.replay import (
    CLEARLY_LOWER,
    Proof,
    choose_steps,
    prove_best,
    replay,
    with_proof,
)

MOST_SUSPECTS = 3


def run_repairing(
    folder: RunFolder,
    setting: Setting,
    stop: StopRequest,
    start: Checkpoint | Mapping[str, Any],
    observers: Sequence[Observer],
    open_watch: OpenWatch | None = None,
) -> None:
    """As `run_training`; the recipe may change as often as its `repair` says.

    Args:
        folder: Locked by this process.
        setting: What the training is made of, at first.
        stop: Raised by signals.
        start: As `run_training` takes it.
        observers: Told of every reading.
        open_watch: Attaches who looks at every update; None: only values that are not finite are
            noticed.

    Raises:
        Interrupted: A signal asked to stop; everything is saved.
        NonFiniteError, NonFiniteWeightsError: A loss, a gradient or a weight was not finite, and
            no remedy was proved.
    """
    while True:
        mending = Mending(folder, setting)
        watch = mending.attach(open_watch) if open_watch is not None else None
        try:
            run_training(folder, setting, stop, start, observers, watch, mending.look_back)
            return
        except StartAgain as again:
            repair = again.repair
        except (NonFiniteError, NonFiniteWeightsError) as error:
            found = mending.after_failure(error.step)
            if found is None:
                raise
            repair = found
        go = start_repair if repair.status == "starting" else take_back
        start = go(folder, repair)
        setting = _with_recipe_of(folder, setting)


def _with_recipe_of(folder: RunFolder, setting: Setting) -> Setting:
    text = folder.read_text("recipe.toml")
    return dataclasses.replace(setting, recipe=Recipe.from_toml(text, where="recipe.toml"))


@dataclass(frozen=True)
class Trial:
    """A remedy that was proved.

    Attributes:
        suspect: What it is against.
        proof: The change of the recipe and what it did.
        goes_on_from: The update after which to go on with it; 0: the start.
    """

    suspect: Finding
    proof: Proof
    goes_on_from: int


@dataclass
class Mending:
    """Looks for a repair of one training.

    Attributes:
        folder: Of the run.
        setting: What the training is made of.
        tried: Codes of findings whose remedies have been on trial.
    """

    folder: RunFolder
    setting: Setting
    tried: set[str] = field(default_factory=set[str])

    def attach(self, open_watch: OpenWatch) -> OpenWatch:
        """A watcher whose errors are put on trial at once."""

        def open_mending(
            setting: Setting, optimizer: Optimizer, tell: Callable[[Finding], None]
        ) -> StepWatch:
            heard: list[Finding] = []

            def hear(finding: Finding) -> None:
                tell(finding)
                heard.append(finding)

            return MendingWatch(open_watch(setting, optimizer, hear), heard, self)

        return open_mending

    def while_training(self, findings: Sequence[Finding], step: int) -> None:
        """Starts again where the remedy of what was found is proved.

        Args:
            findings: An error and what else is known by now.
            step: Updates made.

        Raises:
            StartAgain: It is.
        """
        repair = self._find(findings, step, had_ended=False)
        if repair is not None:
            raise StartAgain(repair)

    def after_failure(self, step: int) -> Repair | None:
        """What to do when a value was not finite; None: nothing can be done.

        Args:
            step: At which it was noticed.
        """
        found = self._find(self._known(), step, had_ended=False)
        return found or self._without_help(None)

    def look_back(self) -> None:
        """What to do when the training has ended.

        Raises:
            StartAgain: A remedy is proved, or one that is in force did not help.
        """
        epochs = [row for row in self.folder.read_metrics() if row["kind"] == "epoch"]
        step = epochs[-1]["step"] if epochs else 0
        found = self._find(self._known(), step, had_ended=True)
        after = self._valid_loss()
        self._keep_outcome(after)
        if found is None:
            found = self._without_help(after)
        if found is not None:
            raise StartAgain(found)

    def _valid_loss(self) -> float | None:
        keeps_best = self.setting.recipe.early_stop is not None
        return reached_valid_loss(self.folder, keeps_best=keeps_best)

    def _known(self) -> list[Finding]:
        return [Finding.from_dict(row) for row in self.folder.read_findings()]

    def _find(self, findings: Sequence[Finding], step: int, *, had_ended: bool) -> Repair | None:
        """The best remedy that is proved, as a repair."""
        roots = [root for root in rank(findings) if root.code not in self.tried]
        self.tried.update(root.code for root in roots if root.severity != "note")
        fresh = _mendable(roots)
        repairs = read_repairs(self.folder)
        hopeless = [f for f in roots if f.severity == "error" and not _has_remedy(f)]
        if hopeless:
            self._say(hopeless, step, "that takes more than a change of the recipe")
        if not fresh or any(repair.status == "taken back" for repair in repairs):
            return None
        if len(repairs) >= self.setting.recipe.repair:
            self._say(fresh, step, f"the recipe was changed {len(repairs)} times already")
            return None
        trials = self._try_all(fresh, had_ended=had_ended)
        if not trials:
            effects = [effect for finding in fresh for effect in finding.effects]
            trials = self._try_all(filter(_has_remedy, effects), had_ended=had_ended)
        if not trials:
            self._say(fresh, step, "no replay proved a remedy that is a change of the recipe")
            return None
        best = min(trials, key=lambda trial: trial.proof.with_change.end)
        return Repair(
            number=len(repairs) + 1,
            finding=with_proof(best.suspect, best.proof),
            change=best.proof.change,
            before={name: getattr(self.setting.recipe, name) for name in best.proof.change},
            proof=str(best.proof),
            replays=_numbers_of(best.proof),
            found_at=step,
            goes_on_from=best.goes_on_from,
            had_ended=had_ended,
            valid_loss_before=self._valid_loss(),
        )

    def _try_all(self, suspects: Iterable[Finding], *, had_ended: bool) -> list[Trial]:
        trials = [self._try(suspect, had_ended=had_ended) for suspect in suspects]
        return [trial for trial in trials if trial is not None]

    def _try(self, suspect: Finding, *, had_ended: bool) -> Trial | None:
        """The best remedy of a suspect, if one is proved."""
        kept = kept_checkpoints(self.folder.checkpoints)
        if not kept or kept[0].step != FIRST_STEP:
            return None
        setting, steps = _uncompiled(self.setting), choose_steps(self.setting.recipe)
        first, later = kept[0], kept[1:]
        proof = prove_best(suspect, setting, _weights(first), steps)
        if proof is None and later and not had_ended:
            proof = prove_best(suspect, setting, _weights(later[-1]), steps)
        if proof is None:
            return None
        good = None if had_ended else _last_good(setting, proof, first, later)
        return Trial(suspect, proof, good.step if good is not None else first.step)

    def _keep_outcome(self, valid_loss: float | None) -> None:
        """Says of the newest repair how the training ended with it."""
        repairs = read_repairs(self.folder)
        if repairs and repairs[-1].status == "in force":
            done = dataclasses.replace(repairs[-1], valid_loss_after=valid_loss)
            keep_repair(self.folder, done)
            self.folder.note("repair_outcome", done.describe_outcome() or str(done))

    def _without_help(self, valid_loss: float | None) -> Repair | None:
        """The repair to take back: without it, the training had ended with a lower loss."""
        ended = [
            repair
            for repair in read_repairs(self.folder)
            if repair.had_ended
            and repair.status == "in force"
            and repair.valid_loss_before is not None
        ]
        best = min(ended, key=lambda repair: repair.valid_loss_before or 0.0, default=None)
        if best is None or best.valid_loss_before is None:
            return None
        is_better = valid_loss is not None and valid_loss < best.valid_loss_before
        return None if is_better else best

    def _say(self, suspects: Sequence[Finding], step: int, reason: str) -> None:
        codes = ", ".join(suspect.code for suspect in suspects)
        message = f"{codes}: not repaired, since {reason}; the recipe stays as it is"
        self.folder.note(NOT_REPAIRED, message, step=step)


@dataclass
class MendingWatch:
    """A watcher whose errors are put on trial as soon as they are sure.

    Attributes:
        watch: Sees the updates.
        heard: What it found since it was last asked.
        mending: Tries the remedies.
        steps: Updates seen.
    """

    watch: StepWatch
    heard: list[Finding]
    mending: Mending
    steps: int = 0

    def step(
        self,
        loss: Tensor,
        inputs: Tensor | None = None,
        outputs: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> None:
        """An update was made.

        Raises:
            StartAgain: The remedy of an error is proved.
        """
        self.watch.step(loss, inputs, outputs, targets)
        self.steps += 1
        if any(finding.severity == "error" for finding in self.heard):
            # An error is told alone; what else is known by then may be its cause.
            self.mending.while_training(self.watch.findings(), self.steps)
        self.heard.clear()

    def epoch(
        self,
        train_loss: Any = None,
        train_metric: Any = None,
        valid_loss: Any = None,
        valid_metric: Any = None,
    ) -> None:
        """An epoch was validated."""
        self.watch.epoch(train_loss, train_metric, valid_loss, valid_metric)

    def findings(self) -> list[Finding]:
        """What is wrong so far."""
        return self.watch.findings()

    def detach(self) -> None:
        """Nothing is to be seen any more."""
        self.watch.detach()


def _mendable(roots: Sequence[Finding]) -> list[Finding]:
    """Those that a change of the recipe may mend.

    What stands behind an error that no recipe mends, such as inputs on a wrong scale, may follow
    from it.
    """
    reachable = itertools.takewhile(
        lambda finding: finding.severity != "error" or _has_remedy(finding), roots
    )
    wanted = (f for f in reachable if f.severity != "note" and _has_remedy(f))
    return list(itertools.islice(wanted, MOST_SUSPECTS))


def _has_remedy(finding: Finding) -> bool:
    return finding.code in MENDABLE


def _last_good(
    setting: Setting, proof: Proof, first: Checkpoint, later: Sequence[Checkpoint]
) -> Checkpoint | None:
    """The newest state that has learned something and, with the remedy, goes on to."""
    afresh = replay(setting, _weights(first), proof.change, proof.steps)
    for checkpoint in reversed(later):
        found = replay(setting, _weights(checkpoint), proof.change, proof.steps)
        has_learned = found.start < afresh.start - CLEARLY_LOWER * abs(afresh.start)
        if has_learned and found.end <= afresh.end:
            return checkpoint
    return None


def _numbers_of(proof: Proof) -> dict[str, float]:
    return {
        "steps": proof.steps,
        "start": proof.without.start,
        "end_without": proof.without.end,
        "end_with": proof.with_change.end,
    }


def _uncompiled(setting: Setting) -> Setting:
    """Compiling takes longer than a replay."""
    return dataclasses.replace(
        setting, resolved=dataclasses.replace(setting.resolved, compiled=False)
    )


def _weights(checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    return checkpoint.tensors["weights"]
