"""Augmentations: what each does to a batch, and that it does the same again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

import trainwell as tw
from trainwell.data.augment import AUGMENTATIONS, OF_IMAGES, compose
from trainwell.data.batches import Batches, ResidentReader
from trainwell.data.dataset import Split
from trainwell.data.draw import Draw, SharedDraw
from trainwell.data.flips import toss
from trainwell.data.preprocess import Preprocess
from trainwell.data.warps import blur, centred_places, turn
from trainwell.errors import DataError, RecipeError

NOTHING = (
    "shift(most=0)",
    "rotate(degrees=0)",
    "scale(share=0)",
    "elastic(alpha=0)",
    "colour(brightness=0, contrast=0, saturation=0)",
    "noise(deviation=0)",
    "cutout(size=0)",
)
"""Each at a strength of zero."""


def draw_for(count: int, *, generator: int = 0, epoch: int = 0, seed: int = 0) -> Draw:
    return Draw(Generator().manual_seed(generator), epoch, torch.arange(count), seed)


def apply(texts: Sequence[str], images: Tensor, **how: int) -> Tensor:
    augment = compose(texts)
    assert augment is not None
    return augment(images, draw_for(len(images), **how))


def smooth_images(count: int, side: int = 32) -> Tensor:
    """Waves, which bilinear interpolation hardly changes."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    phase = torch.arange(count * 3).view(count, 3, 1, 1)
    return torch.sin(0.2 * x + phase) + torch.cos(0.15 * y - phase)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(AUGMENTATIONS)),
    st.integers(1, 5),
    st.sampled_from([1, 2, 3, 4]),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_every_augmentation_keeps_shape_and_dtype_of_any_images_and_the_images_themselves(
    name: str, count: int, channels: int, size: tuple[int, int]
) -> None:
    images = torch.randn(count, channels, *size)
    before = images.clone()
    changed = apply([name], images)
    assert changed.shape == images.shape and changed.dtype == torch.float32
    assert torch.isfinite(changed).all()
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_is_a_function_of_its_draw(name: str) -> None:
    images = torch.randn(16, 3, 12, 12)
    first = apply([name], images, generator=1)
    assert torch.equal(first, apply([name], images, generator=1))
    depends_on = {"epoch": 1} if name == "alternating_flip" else {"generator": 2}
    assert not torch.equal(first, apply([name], images, **{"generator": 1, **depends_on}))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_channels_last_images_come_out_the_same(name: str) -> None:
    images = torch.randn(8, 3, 12, 10)
    laid_out = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(apply([name], laid_out), apply([name], images))


@pytest.mark.parametrize("text", NOTHING)
def test_a_strength_of_zero_changes_nothing(text: str) -> None:
    images = torch.randn(8, 3, 13, 10)
    torch.testing.assert_close(apply([text], images), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["flip", "flip_vertical", "alternating_flip"])
def test_a_flip_made_twice_is_undone(name: str) -> None:
    images = torch.randn(64, 3, 6, 5)
    once = apply([name], images)
    assert torch.equal(apply([name], once), images)
    axis = -2 if name == "flip_vertical" else -1
    mirrored = (once == images.flip(axis)).flatten(1).all(1)
    assert ((once == images).flatten(1).all(1) ^ mirrored).all()
    assert 16 < int(mirrored.sum()) < 48


def test_an_alternating_flip_shows_each_image_the_other_way_round_in_every_epoch() -> None:
    images = torch.randn(500, 1, 4, 4)
    epochs = [apply(["alternating_flip"], images, epoch=epoch) for epoch in range(4)]
    for before, after in itertools.pairwise(epochs):
        assert torch.equal(before.flip(-1), after)


def test_the_half_that_is_mirrored_first_follows_from_seed_and_position_alone() -> None:
    alone = toss(torch.arange(10_000), seed=3)
    assert torch.equal(alone[400:600], toss(torch.arange(400, 600), seed=3))
    for other in (toss(torch.arange(10_000), seed=4), torch.arange(10_000) % 2):
        # Independent coins agree in half of the cases; five deviations around it.
        assert abs(int((alone == other).sum()) - 5000) < 250
    assert abs(int(alone.sum()) - 5000) < 250
    assert abs(int((alone[1:] == alone[:-1]).sum()) - 5000) < 250


def test_a_shift_goes_as_far_as_told_in_pixels_or_as_a_share() -> None:
    for text, far in (("shift(2)", (2, 2)), ("shift(0.25)", (2, 4)), ("crop", (1, 2))):
        image = torch.zeros(2000, 1, 8, 16)
        image[:, :, 4, 8] = 1
        places = apply([text], image).nonzero()
        found = {(int(y) - 4, int(x) - 8) for _, _, y, x in places}
        down, right = far
        every = {(y, x) for y in range(-down, down + 1) for x in range(-right, right + 1)}
        assert found == every, text


def test_turning_by_quarters_and_all_the_way_round_is_exact() -> None:
    places = centred_places(9, 9, torch.device("cpu")).expand(3, -1, -1, -1)
    angles = torch.tensor([0.5, 1.0, 2.0]) * math.pi
    turned = turn(places, angles)
    torch.testing.assert_close(turned[2], places[2], rtol=0, atol=1e-4)
    torch.testing.assert_close(turned[1], -places[1], rtol=0, atol=1e-4)
    x, y = places[0]
    torch.testing.assert_close(turned[0], torch.stack([-y, x]), rtol=0, atol=1e-4)


def test_a_turned_image_is_within_the_angle_and_turns_about_its_centre() -> None:
    image = torch.zeros(500, 1, 33, 33)
    image[:, :, 14:19, 28] = 1
    image[:, :, 16, 16] = 1
    turned = apply(["rotate(degrees=30)"], image)
    # Bilinear interpolation of a single pixel leaves its place untouched only at the centre.
    torch.testing.assert_close(turned[:, :, 16, 16], torch.ones(500, 1), rtol=0, atol=1e-4)
    weights = turned[:, 0, :, 20:].flatten(1)
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(20.0, 33) - 16, indexing="ij")
    centre = torch.stack([(weights * part.flatten()).sum(1) for part in (y, x)])
    angle = torch.rad2deg(torch.atan2(centre[0], centre[1]))
    assert angle.abs().max() < 31
    assert angle.min() < -25 and angle.max() > 25


def test_a_scaled_image_is_larger_or_smaller_by_at_most_the_share() -> None:
    image = torch.zeros(500, 1, 64, 64)
    image[:, :, 22:42, 22:42] = 1
    side = apply(["scale(share=0.2)"], image).sum((1, 2, 3)).sqrt() / 20
    assert 0.79 < side.min() < 0.83 and 1.17 < side.max() < 1.21


def test_warps_that_follow_each_other_are_resampled_once() -> None:
    images = smooth_images(16)
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    together = apply(["rotate(degrees=20)", "scale(share=0.1)"], images)
    draw = draw_for(16)
    # The last warp draws first: one after the other, they get the same numbers in that order.
    scales = compose(["scale(share=0.1)"])
    rotates = compose(["rotate(degrees=20)"])
    assert scales is not None and rotates is not None
    apart = rotates(scales(images, draw), draw)
    torch.testing.assert_close(together[inner], apart[inner], rtol=0, atol=0.05)
    assert (together - images)[inner].abs().max() > 0.2


def test_an_elastic_field_is_smooth_and_as_large_as_the_gaussian_says() -> None:
    fields = blur(torch.rand(400, 2, 64, 64, generator=Generator().manual_seed(0)) * 2 - 1, 4.0)
    inside = fields[..., 16:-16, 16:-16]
    # The variance of even numbers in [-1, 1] is 1/3; a Gaussian keeps 1 / (4 pi sigma^2) of it.
    expected = math.sqrt(1 / 3 / (4 * math.pi * 16))
    assert inside.std() == pytest.approx(expected, rel=0.03)
    step = (inside[..., 1:] - inside[..., :-1]).std()
    # Of neighbours a pixel apart, correlated by exp(-1 / (4 sigma^2)).
    assert step == pytest.approx(expected * math.sqrt(2 - 2 * math.exp(-1 / 64)), rel=0.05)


def test_a_blur_is_the_gaussian_of_scipy_with_zeros_outside() -> None:
    from scipy.ndimage import gaussian_filter

    field = torch.randn(11, 17)
    wanted = gaussian_filter(field.double().numpy(), 2.0, mode="constant", truncate=20)
    torch.testing.assert_close(
        blur(field, 2.0).double(), torch.from_numpy(wanted), atol=1e-5, rtol=0
    )


def test_an_elastic_distortion_bends_but_keeps_what_is_smooth() -> None:
    images = smooth_images(8)
    bent = apply(["elastic(alpha=34, sigma=4)"], images)
    change = (bent - images)[:, :, 8:-8, 8:-8].abs()
    assert 0.02 < change.mean() < 0.4


def test_colour_changes_light_but_not_what_is_where() -> None:
    images = torch.randn(200, 3, 8, 8)
    brighter = apply(["colour(brightness=0.5, contrast=0, saturation=0)"], images) - images
    torch.testing.assert_close(brighter, brighter[:, :1, :1, :1].expand_as(brighter))
    shares = brighter[:, 0, 0, 0] / images.std((1, 2, 3), correction=0)
    assert shares.abs().max() < 0.5 and shares.min() < -0.4 and shares.max() > 0.4
    spread = apply(["colour(brightness=0, contrast=0.5, saturation=0)"], images)
    torch.testing.assert_close(spread.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5, rtol=0)
    factors = spread.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5
    vivid = apply(["colour(brightness=0, contrast=0, saturation=1)"], images)
    torch.testing.assert_close(vivid.mean(1), images.mean(1), atol=1e-5, rtol=0)
    grey = torch.randn(20, 1, 8, 8).expand(-1, 3, -1, -1)
    unchanged = apply(["colour(brightness=0, contrast=0, saturation=1)"], grey)
    torch.testing.assert_close(unchanged, grey, atol=1e-5, rtol=0)


def test_colour_means_the_same_for_images_of_any_unit() -> None:
    images = torch.randn(20, 3, 8, 8)
    in_bytes = images * 60 + 128
    torch.testing.assert_close(
        apply(["colour"], in_bytes), apply(["colour"], images) * 60 + 128, atol=1e-2, rtol=0
    )


def test_noise_has_its_deviation_and_takes_any_inputs() -> None:
    for shape in ((500, 30), (100, 12, 5), (50, 3, 8, 8)):
        inputs = torch.randn(shape)
        added = apply(["noise(deviation=0.3)"], inputs) - inputs
        assert added.std() == pytest.approx(0.3, rel=0.03)
        assert abs(float(added.mean())) < 0.02


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 24), st.integers(4, 24), st.integers(1, 12))
def test_cutout_takes_a_square_of_its_size_or_what_of_it_is_inside(
    height: int, width: int, size: int
) -> None:
    images = torch.ones(50, 2, height, width)
    cut = apply([f"cutout({size})"], images) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    rows, columns = cut[:, 0].any(2), cut[:, 0].any(1)
    assert torch.equal(cut[:, 0], rows[:, :, None] & columns[:, None, :])
    area = cut[:, 0].sum((1, 2))
    whole = min(size, height) * min(size, width)
    # The centre is always inside, so at least about a quarter is.
    least = min((size + 1) // 2, height) * min((size + 1) // 2, width)
    assert int(area.max()) <= whole and int(area.min()) >= least


def test_cutout_by_default_takes_half_of_each_side_wherever_its_centre_lies() -> None:
    cut = apply(["cutout"], torch.ones(4000, 1, 32, 32)) == 0
    assert cut.sum((1, 2, 3)).max() == 16 * 16
    assert int(cut[:, 0].sum(0).min()) > 0


def test_a_shared_draw_gives_every_image_the_same_whatever_else_is_in_the_batch() -> None:
    for name in AUGMENTATIONS:
        augment = compose([name])
        assert augment is not None
        images = torch.randn(6, 3, 9, 9)

        def view(part: Tensor, augment=augment) -> Tensor:  # type: ignore[no-untyped-def]
            generator = Generator().manual_seed(5)
            return augment(part, SharedDraw(generator, 1, torch.zeros(len(part), dtype=torch.long)))

        torch.testing.assert_close(view(images[2:4]), view(images)[2:4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rotate(degrees=-1)", "between 0 and 360"),
        ("rotate(angle=5)", "degrees"),
        ("scale(share=1)", "below 1"),
        ("shift(most=-1)", "whole pixels"),
        ("shift(most=1.5)", "whole pixels"),
        ("cutout(size=-0.5)", "whole pixels"),
        ("elastic(sigma=0)", "sigma above 0"),
        ("elastic(alpha=-1)", "alpha"),
        ("noise(deviation=-1)", "deviation"),
        ("noise('much')", "impossible"),
        ("colour(contrast=2)", "contrast"),
        ("colour(brightness=-1)", "brightness"),
        ("flipp", "'flip'"),
    ],
)
def test_an_impossible_option_is_refused_by_the_recipe(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tw.Recipe(augment=(text,))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_only_augmentations_refuse_tables_before_training(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name} augments images.*noise"):
        tw.fit("mlp", "iris", tw.Recipe(epochs=1, augment=(name,)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_noise_trains_a_table(tmp_path: Path) -> None:
    recipe = tw.Recipe(epochs=1, augment=("noise(0.2)",))
    assert tw.fit("mlp", "iris", recipe, out=tmp_path / "run").metrics["valid_loss"] > 0


def images_in_batches(size: int, **how: object) -> Batches:
    inputs = torch.arange(40).float()[:, None, None, None] + torch.rand(
        40, 3, 8, 8, generator=Generator().manual_seed(1)
    )
    split = Split(inputs, torch.arange(40) % 4, torch.arange(40))
    cpu = torch.device("cpu")
    return Batches(
        ResidentReader(split, cpu), 40, size, Preprocess((3, 8, 8)), cpu, shuffle_seed=0, **how
    )  # type: ignore[arg-type]


def test_augmented_batches_are_the_same_when_reading_starts_in_the_middle_of_an_epoch() -> None:
    batches = images_in_batches(7, augment=compose(list(AUGMENTATIONS)), mixup=0.4)
    whole, rest = list(batches.read(2)), list(batches.read(2, first=3))
    for one, other in zip(whole[3:], rest, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        assert one.share == other.share


def test_an_alternating_flip_does_not_depend_on_how_the_epoch_is_cut_into_batches() -> None:
    def in_order(size: int, epoch: int) -> Tensor:
        batches = images_in_batches(size, augment=compose(["alternating_flip"]))
        together = torch.cat([batch.inputs for batch in batches.read(epoch)])
        return together[torch.cat(batches.positions(epoch)).argsort()]

    assert torch.equal(in_order(7, 0), in_order(40, 0))
    assert torch.equal(in_order(7, 0), in_order(13, 1).flip(-1))
