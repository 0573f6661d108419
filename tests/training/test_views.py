"""Views at test time: which there are, how they are averaged, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

import trainwell as tw
from trainwell.cli.main import main
from trainwell.data.views import SIX, choose_views, mirrored
from trainwell.errors import DataError, ModelError
from trainwell.training.final_evaluation import class_probabilities
from trainwell.training.views import AveragedViews, average_outputs

COLOUR = (3, 8, 8)


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> tuple[tw.Run, numpy.ndarray]:
    generator = numpy.random.default_rng(0)
    images = generator.integers(0, 256, (300, 8, 8, 3), dtype=numpy.uint8)
    labels = numpy.arange(300) % 3
    for number, label in enumerate(labels):
        images[number, 3:5, :, label] = 255
    recipe = tw.Recipe(epochs=3, augment=("flip", "crop"))
    run = tw.fit("mlp", (images, labels), recipe, out=tmp_path_factory.mktemp("run") / "run")
    return run, images


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> tw.Run:
    recipe = tw.Recipe(epochs=2, augment=("rotate(10)", "shift(1)", "noise(0.1)"))
    return tw.fit("mlp", "digits", recipe, out=tmp_path_factory.mktemp("run") / "run")


def test_the_six_views_are_the_image_its_mirror_image_and_both_moved_by_a_pixel() -> None:
    images = torch.arange(2 * 3 * 64).float().view(2, 3, 8, 8)
    views = [view(images) for view in choose_views(("flip", "crop"), COLOUR, 6)]
    assert torch.equal(views[0], images)
    assert torch.equal(views[1], images.flip(-1))
    for source, up_left, down_right in ((images, views[2], views[4]), (views[1], *views[3::2])):
        assert torch.equal(up_left[..., :-1, :-1], source[..., 1:, 1:])
        assert torch.equal(down_right[..., 1:, 1:], source[..., :-1, :-1])
        assert torch.equal(up_left[..., -1, :-1], source[..., -2, 1:])
        assert torch.equal(down_right[..., 0, 1:], source[..., 1, :-1])


@pytest.mark.parametrize("augment", [(), ("alternating_flip",), ("cutout", "flip")])
def test_square_colour_images_that_may_be_mirrored_have_the_six(augment: tuple[str, ...]) -> None:
    assert choose_views(augment, COLOUR, 6) == SIX
    assert choose_views(augment, COLOUR, 2) == SIX[:2]


@pytest.mark.parametrize(
    ("augment", "shape"),
    [(("crop",), COLOUR), (("flip",), (1, 8, 8)), (("flip", "crop"), (3, 8, 10))],
)
def test_other_views_are_drawn_from_the_recipes_augmentations_after_the_image_itself(
    augment: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    images = torch.randn(5, *shape)
    views = choose_views(augment, shape, 12)
    seen = [view(images) for view in views]
    assert torch.equal(seen[0], images)
    assert len({tuple(view.flatten().tolist()) for view in seen}) > (1 if "flip" in augment else 6)
    # The same for every image, whatever is predicted beside it, and again.
    for view, before in zip(views, seen, strict=True):
        assert torch.equal(view(images[2:4]), before[2:4])


def test_more_than_the_six_are_drawn_where_there_is_something_to_draw_from() -> None:
    assert len(choose_views(("flip", "crop"), COLOUR, 9)) == 9
    with pytest.raises(DataError, match=r"6 views .* without augmentation, not 7"):
        choose_views((), COLOUR, 7)
    with pytest.raises(DataError, match="Train with augment"):
        choose_views((), (1, 8, 8), 2)


def test_averaged_outputs_are_those_of_the_averaged_probabilities() -> None:
    for shape in ((4, 7, 5), (4, 7, 1)):
        outputs = torch.randn(shape) * 5
        wanted = torch.stack([class_probabilities(view) for view in outputs]).mean(0)
        found = class_probabilities(average_outputs(outputs, "multiclass"))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    numbers = torch.randn(4, 7, 2)
    assert torch.equal(average_outputs(numbers, "regression"), numbers.mean(0))


def test_certain_views_that_contradict_each_other_stay_finite() -> None:
    outputs = torch.tensor([[[200.0]], [[-200.0]], [[300.0]]])
    assert float(average_outputs(outputs, "binary")) == pytest.approx(numpy.log(2), rel=1e-5)


def test_predictions_of_views_are_the_average_over_images_made_by_hand(
    coloured: tuple[tw.Run, numpy.ndarray],
) -> None:
    run, images = coloured
    by_hand = (
        run.predict_probabilities(images) + run.predict_probabilities(images[:, :, ::-1].copy())
    ) / 2
    found = run.predict_probabilities(images, views=2)
    numpy.testing.assert_allclose(found, by_hand, atol=1e-6)
    assert (run.predict(images, views=2) == run.class_labels[by_hand.argmax(1)]).all()
    six = run.predict_outputs(images, views=6)
    assert torch.equal(six, run.predict_outputs(images, views=6))
    torch.testing.assert_close(six[7:9], run.predict_outputs(images[7:9], views=6))
    assert torch.equal(run.predict_outputs(images, views=1), run.predict_outputs(images))


def test_evaluate_measures_the_averaged_prediction(grey: tw.Run) -> None:
    test = grey.data.split("test")
    probabilities = grey.predict_probabilities(test.inputs, views=5)
    right = probabilities.argmax(1) == test.targets.numpy()
    scores = grey.evaluate("test", views=5)
    assert scores["test_accuracy"] == pytest.approx(right.mean())
    of_truth = probabilities[numpy.arange(len(test)), test.targets.numpy()]
    assert scores["test_loss"] == pytest.approx(-numpy.log(of_truth).mean(), rel=1e-4)
    assert scores != grey.evaluate("test")


def test_the_model_is_in_evaluation_mode_for_views_and_gets_its_mode_back(
    coloured: tuple[tw.Run, numpy.ndarray],
) -> None:
    run, images = coloured
    run.model.train()
    modes = []
    handle = run.model.register_forward_hook(lambda module, *_: modes.append(module.training))
    run.predict(images[:3], views=6)
    handle.remove()
    assert modes == [False] * 6
    assert run.model.training
    run.model.eval()


def test_the_command_line_predicts_with_views(
    grey: tw.Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    examples = grey.data.split("test").inputs
    assert isinstance(examples, torch.Tensor)
    numpy.save(tmp_path / "new.npy", examples.numpy())
    command = ["predict", str(grey.folder), str(tmp_path / "new.npy"), "--json", "--views"]
    assert main([*command, "4"]) == 0
    found = json.loads(capfd.readouterr().out)["predictions"]
    assert found == grey.predict(examples, views=4).tolist()
    assert main([*command, "0"]) == 2
    assert "there cannot be 0 views" in capfd.readouterr().err


def test_views_of_anything_but_images_and_of_reconstructions_are_refused(tmp_path: Path) -> None:
    run = tw.fit("mlp", "iris", tw.Recipe(epochs=1), out=tmp_path / "run")
    with pytest.raises(DataError, match=r"views are of images, .*\(4,\)"):
        run.predict(run.data.valid.inputs, views=2)
    with pytest.raises(DataError, match="views are of images"):
        run.evaluate("test", views=6)
    assert len(run.predict(run.data.valid.inputs, views=1))
    with pytest.raises(ModelError, match="cannot be averaged"):
        AveragedViews(nn.Identity(), [mirrored], "reconstruction")
