import torch
from torch import nn
from torch.nn import functional

from tests.checks.initial_state.looking import codes, report, seeded
from tests.checks.initial_state.ordinary_programs import digits, waves
from trainwell.checks.initial_state.evaluation_mode import check_evaluation_mode


class Between(nn.Module):
    """Something between a body and a head, given the module's mode."""

    def __init__(self, between) -> None:
        super().__init__()
        self.between = between
        self.body, self.head = nn.Linear(64, 128), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.between(self.body(x).relu(), self.training))


def test_dropout_that_never_rests_is_named():
    found = report(check_evaluation_mode, Between(lambda x, training: functional.dropout(x)))
    assert [f.code for f in found.findings] == ["eval_mode_bug"]
    assert "after body" in found.findings[0].where

    def rests(x, training):
        return functional.dropout(x, training=training)

    assert codes(check_evaluation_mode, Between(rests)) == []


def test_examples_that_influence_each_other_are_named():
    for between in (
        lambda x, training: x.softmax(0),
        lambda x, training: x - x.mean(0),
        lambda x, training: x / x.max(),
        lambda x, training: x.T.reshape(x.shape),
    ):
        assert codes(check_evaluation_mode, Between(between)) == ["eval_mode_bug"]


def test_examples_taken_for_steps_are_named():
    class Last(nn.Module):
        def __init__(self, batch_first) -> None:
            super().__init__()
            self.layer = nn.LSTM(1, 16, batch_first=batch_first)
            self.head = nn.Linear(16, 2)

        def forward(self, x):
            return self.head(self.layer(x)[0][:, -1])

    torch.manual_seed(0)
    assert codes(check_evaluation_mode, Last(False), waves()) == ["eval_mode_bug"]
    assert codes(check_evaluation_mode, Last(True), waves()) == []


def test_batch_statistics_in_evaluation_are_named():
    for tracks, expected in ((False, ["batchnorm_misuse"]), (True, [])):
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(32, track_running_stats=tracks)
        model = nn.Sequential(nn.Linear(64, 32), norm, nn.ReLU(), nn.Linear(32, 10))
        assert codes(check_evaluation_mode, model) == expected


def test_a_mode_that_cannot_be_changed_is_named():
    class Stubborn(nn.Sequential):
        def train(self, mode=True):
            return super().train(True)

    model = Stubborn(nn.Linear(64, 32), nn.Dropout(0.5), nn.Linear(32, 10))
    assert codes(check_evaluation_mode, model) == ["eval_mode_bug"]


def test_dropout_that_is_not_scaled_is_named():
    def vanilla(x, training):
        return x * (torch.rand_like(x) < 0.4) if training else x

    def inverted(x, training):
        return x * (torch.rand_like(x) < 0.4) / 0.4 if training else x

    torch.manual_seed(0)
    assert codes(check_evaluation_mode, Between(vanilla)) == ["eval_mode_bug"]
    assert codes(check_evaluation_mode, Between(inverted)) == []


def test_another_function_in_training_is_named():
    def other(x, training):
        return x if training else x.flip(1)

    assert codes(check_evaluation_mode, Between(other)) == ["eval_mode_bug"]


def test_batch_normalisation_gets_its_statistics_before_it_is_compared():
    torch.manual_seed(0)
    inputs, targets = digits()
    model = nn.Sequential(
        *(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()),
        *(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)),
    )
    assert codes(check_evaluation_mode, model, (20 * inputs + 30, targets)) == []


def test_running_statistics_of_other_data_are_named():
    torch.manual_seed(0)
    inputs, _ = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    with torch.no_grad():
        for rows in inputs.split(32):
            model(rows)
    assert codes(check_evaluation_mode, model) == []
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d) and norm.running_mean is not None
    norm.running_mean += 20
    assert codes(check_evaluation_mode, model) == ["batchnorm_misuse"]


def test_codes_drawn_on_purpose_are_a_note_and_noise_on_the_inputs_is_named():
    class Variational(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.Linear(64, 16), nn.Linear(8, 64)

        def forward(self, x):
            mean, log_variance = self.encoder(x).chunk(2, 1)
            return self.decoder(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))

    class Denoising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = seeded(64, 8, 64)

        def forward(self, x):
            return self.body(x + 0.3 * torch.randn_like(x))

    rows = digits()[0]
    loss = nn.MSELoss()
    found = report(check_evaluation_mode, Variational(), (rows, rows), loss).findings
    assert [f.severity for f in found] == ["note"]
    assert codes(check_evaluation_mode, Denoising(), (rows, rows), loss) == ["eval_mode_bug"]


def test_a_model_that_fails_in_evaluation_mode_is_named():
    class Fails(Between):
        def forward(self, x):
            if not self.training:
                raise RuntimeError("no")
            return super().forward(x)

    assert codes(check_evaluation_mode, Fails(lambda x, training: x)) == ["eval_mode_bug"]
