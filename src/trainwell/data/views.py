"""Views of images at test time, whose predictions are averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Generator, Tensor, int64, zeros
from torch.nn import functional

from trainwell.data.augment import compose, names_of
from trainwell.data.draw import Augmentation, SharedDraw
from trainwell.data.seeding import derive_seed
from trainwell.errors import DataError

View = Callable[[Tensor], Tensor]
"""Images `(N, C, H, W)`, preprocessed, in; images of the same shape out."""

MIRRORING = {"flip", "alternating_flip"}


def choose_views(augment: Sequence[str], input_shape: Sequence[int], count: int) -> list[View]:
    """The views of a trained model's inputs; the first is always the untouched image.

    Square colour images, where the recipe mirrors them or augments nothing, have six that are as
    good as drawn by hand: the image and its mirror image, both as they are, moved by a pixel up
    and left, and by one down and right (Jordan 2024). All other views, and those beyond six, are
    drawn from the recipe's own augmentations with fixed seeds, the same for every image.

    Args:
        augment: Of the recipe.
        input_shape: Of one example as the model sees it.
        count: How many.

    Raises:
        DataError: Less than one, the inputs are not images, or there is nothing to draw from.
    """
    if count < 1:
        raise DataError(f"there cannot be {count} views", remedy="Give views=1 or more")
    if count == 1:
        return [untouched]
    if len(input_shape) != 3:
        raise DataError(
            f"views are of images, and the inputs have the shape {tuple(input_shape)}",
            remedy="Leave views at 1",
        )
    known = SIX if _suits_six(augment, input_shape) else [untouched]
    augmentation = compose(augment)
    if augmentation is None and count > len(known):
        raise DataError(
            f"there are {len(known)} views of these images without augmentation, not {count}",
            remedy="Train with augment, or ask for fewer views",
        )
    drawn = [_draw_view(augmentation, n) for n in range(len(known), count) if augmentation]
    return [*known[:count], *drawn]


def untouched(images: Tensor) -> Tensor:
    """The images themselves."""
    return images


def mirrored(images: Tensor) -> Tensor:
    """The images left to right."""
    return images.flip(-1)


def up_left(images: Tensor) -> Tensor:
    """The images moved by one pixel; the edge that comes in is reflected."""
    return functional.pad(images, (0, 1, 0, 1), mode="reflect")[:, :, 1:, 1:]


def down_right(images: Tensor) -> Tensor:
    """The images moved by one pixel; the edge that comes in is reflected."""
    return functional.pad(images, (1, 0, 1, 0), mode="reflect")[:, :, :-1, :-1]


SIX: list[View] = [
    untouched,
    mirrored,
    up_left,
    lambda images: up_left(mirrored(images)),
    down_right,
    lambda images: down_right(mirrored(images)),
]


def _suits_six(augment: Sequence[str], input_shape: Sequence[int]) -> bool:
    channels, height, width = input_shape
    mirrors = not augment or bool(MIRRORING & set(names_of(augment)))
    # Reflection needs a second pixel.
    return mirrors and channels == 3 and height == width > 1


def _draw_view(augmentation: Augmentation, number: int) -> View:
    def view(images: Tensor) -> Tensor:
        generator = Generator(images.device).manual_seed(derive_seed("view", number))
        positions = zeros(len(images), dtype=int64)
        return augmentation(images, SharedDraw(generator, number, positions))

    return view
