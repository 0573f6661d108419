"""What was found in a run is put on trial: the remedy helps, or it is no proof."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import trainwell as tw
from trainwell.cli.main import main
from trainwell.findings import Finding
from trainwell.optim.optimizers import OPTIMIZERS
from trainwell.training.fitting import prepare
from trainwell.watching.remedies import MENDABLE, propose_changes, propose_widely
from trainwell.watching.replay import Proof, Replay, prove, with_proof

RECIPE = tw.Recipe(epochs=12, batch_size=32, optimizer="sgd", learning_rate=0.05)


def train(folder: Path, **fields: object) -> tw.Run:
    return tw.fit("mlp", "wine", RECIPE.replace(**fields), out=folder / "run")


def test_a_healthy_run_is_silent_and_has_nothing_to_prove(tmp_path: Path) -> None:
    run = train(tmp_path)
    assert [f.code for f in run.findings if f.severity != "note"] == []
    assert tw.diagnose(run).proofs == {}


def test_watched_and_unwatched_runs_end_in_the_same_bits(tmp_path: Path) -> None:
    watched = tw.fit("mlp", "wine", RECIPE, out=tmp_path / "watched")
    alone = tw.fit("mlp", "wine", RECIPE.replace(watch=False, check=False), out=tmp_path / "alone")
    assert watched.weights_sha256 == alone.weights_sha256


def test_a_rate_that_is_far_too_low_is_found_and_proved(tmp_path: Path) -> None:
    run = train(tmp_path, learning_rate=1e-6, epochs=20)
    assert run.findings[0].code == "lr_too_low"
    proof = tw.diagnose(run).proofs["lr_too_low"]
    assert proof.outcome == "confirmed"
    assert proof.with_change.fall > 10 * abs(proof.without.fall)
    assert "Proved" in run.findings[0].remedy


def test_a_diverged_run_is_proved_from_its_first_weights(tmp_path: Path) -> None:
    with pytest.raises(tw.TrainwellError) as caught:
        tw.fit("mlp", "wine", RECIPE.replace(learning_rate=1e4), out=tmp_path / "run")
    assert caught.value.run_folder == str(tmp_path / "run")
    diagnosis = tw.diagnose(tmp_path / "run")
    assert {f.code for f in diagnosis.findings} & {"lr_too_high", "exploding_or_nan"}
    assert "confirmed" in {proof.outcome for proof in diagnosis.proofs.values()}


def test_a_replay_is_the_same_each_time_and_leaves_the_run_alone(tmp_path: Path) -> None:
    run = train(tmp_path, learning_rate=1e-6, epochs=20)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    first = tw.diagnose(run, steps=20)
    draws = torch.get_rng_state()
    second = tw.diagnose(run, steps=20)
    assert [p.to_dict() for p in first.proofs.values()] == [
        p.to_dict() for p in second.proofs.values()
    ]
    assert torch.equal(draws, torch.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in run.model.state_dict().items())


@pytest.mark.parametrize(
    ("end_with", "outcome"),
    [(0.5, "confirmed"), (1.95, "open"), (2.0, "dismissed"), (float("inf"), "open")],
)
def test_a_remedy_is_a_proof_only_where_the_loss_ends_clearly_lower(
    end_with: float, outcome: str
) -> None:
    proof = Proof("lr_too_low", {"learning_rate": 0.1}, 60, Replay(2.0, 2.0), Replay(2.0, end_with))
    assert proof.outcome == outcome


def test_a_remedy_that_does_not_learn_either_is_no_proof() -> None:
    diverged, flat = Replay(2.0, float("inf")), Replay(2.0, 2.0)
    assert Proof("lr_too_high", {"learning_rate": 0.1}, 60, diverged, flat).outcome == "open"


def test_a_proof_reads_well_where_the_loss_explodes_without_the_remedy() -> None:
    proof = Proof(
        "lr_too_high", {"learning_rate": 0.1}, 60, Replay(2.0, float("inf")), Replay(2.0, 0.5)
    )
    assert str(proof) == (
        "with learning_rate = 0.1 the loss goes from 2 to 0.5 in 60 steps; without, it is not "
        "finite any more"
    )


def test_a_dismissed_finding_is_no_more_than_a_note() -> None:
    finding = Finding("lr_too_low", "warning", cause="Small steps.", remedy="Raise the rate.")
    dismissed = Proof("lr_too_low", {"learning_rate": 0.1}, 60, Replay(2.0, 1.0), Replay(2.0, 3.0))
    assert with_proof(finding, dismissed).severity == "note"


def test_nothing_is_proposed_against_what_no_recipe_can_mend() -> None:
    complete = dataclasses.replace(RECIPE, momentum=0.9, weight_decay=0.0)
    assert propose_changes("corrupted_labels", complete) == []
    assert propose_changes("momentum_too_high", complete) == []
    assert propose_changes("over_regularised", complete) == []


def test_exploding_gradients_of_a_recurrent_network_are_clipped_first(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=1, optimizer="sgd", learning_rate=0.3, clip_norm=1e9, compile=False)
    run = tw.fit("rnn", "series", recipe, out=tmp_path / "run")
    setting = prepare(run.model, run.data, run.recipe, None)
    torch.manual_seed(0)
    first = tw.models.create("rnn", run.data).state_dict()
    proof = prove(Finding("exploding_or_nan", "error"), setting, first)
    assert proof is not None and proof.outcome == "confirmed"
    assert proof.change == {"clip_norm": 1.0}
    clipped = run.recipe.replace(clip_norm=0.5)
    assert {"clip_norm": 1.0} not in propose_changes("exploding_or_nan", clipped)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_what_is_proposed_is_a_recipe_whatever_the_optimiser(name: str) -> None:
    given = tw.Recipe(optimizer=name, weight_decay=OPTIMIZERS[name].weight_decay)
    if OPTIMIZERS[name].momentum is not None:
        given = given.replace(momentum=0.999)
    complete = tw.explain("mlp", "iris", given).recipe
    for code in MENDABLE:
        for change in [*propose_changes(code, complete), *propose_widely(code, complete)]:
            assert complete.replace(**change) != complete


def test_of_remedies_that_are_not_proved_the_best_one_is_told(tmp_path: Path) -> None:
    run = train(tmp_path)
    setting = prepare(run.model, run.data, run.recipe, None)
    torch.manual_seed(0)
    first = tw.models.create("mlp", run.data).state_dict()
    proof = prove(Finding("lr_too_high", "warning"), setting, first)
    assert proof is not None and proof.outcome == "dismissed"
    assert proof.change == {"learning_rate": run.recipe.learning_rate / 4}


def test_the_command_says_what_was_proved(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = train(tmp_path, learning_rate=1e-6, epochs=20)
    assert main(["diagnose", str(run.folder)]) == 0
    assert "confirmed" in capsys.readouterr().out
    assert main(["diagnose", str(tmp_path / "nowhere")]) == 2
    assert main(["diagnose", str(run.folder), "--steps", "0"]) == 2
    assert "1 step at least, not 0" in capsys.readouterr().err
