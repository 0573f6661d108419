"""Augmentation of whole batches, on the device, by the names that recipes give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from trainwell.data.colours import colour
from trainwell.data.draw import Augmentation, Draw
from trainwell.data.erasing import cutout
from trainwell.data.flips import alternating_flip, flip, flip_vertical
from trainwell.data.noise import noise
from trainwell.data.shifts import crop, shift
from trainwell.data.warps import Warp, elastic, rotate, scale
from trainwell.errors import DataError
from trainwell.named_call import build_named, parse_call

OF_IMAGES: dict[str, Callable[..., Augmentation]] = {
    "flip": flip,
    "flip_vertical": flip_vertical,
    "alternating_flip": alternating_flip,
    "crop": crop,
    "shift": shift,
    "rotate": rotate,
    "scale": scale,
    "elastic": elastic,
    "colour": colour,
    "cutout": cutout,
}
OF_ANY_INPUT: dict[str, Callable[..., Augmentation]] = {"noise": noise}
AUGMENTATIONS = OF_IMAGES | OF_ANY_INPUT


def compose(texts: Sequence[str]) -> Augmentation | None:
    """The described augmentations one after the other, or None when there are none.

    Args:
        texts: Names of `AUGMENTATIONS`, with options. Warps that follow each other share one
            resampling.

    Raises:
        RecipeError: No such augmentation or option, or an impossible value.
    """
    chosen: list[Augmentation] = []
    for text in texts:
        augmentation = build_named(text, AUGMENTATIONS, "augment")
        before = chosen[-1] if chosen else None
        if isinstance(before, Warp) and isinstance(augmentation, Warp):
            chosen[-1] = before.then(augmentation)
        else:
            chosen.append(augmentation)
    if not chosen:
        return None

    def augment(images: Tensor, draw: Draw) -> Tensor:
        for augmentation in chosen:
            images = augmentation(images, draw)
        return images

    return augment


def names_of(texts: Sequence[str]) -> list[str]:
    """The names in described augmentations."""
    return [parse_call(text, "augment").name for text in texts]


def refuse_unsuited(texts: Sequence[str], input_shape: Sequence[int]) -> None:
    """Stops before the training where an augmentation of images would meet something else.

    Args:
        texts: Of the recipe.
        input_shape: Of one example as the model sees it.

    Raises:
        DataError: An augmentation is of images, and the inputs are none.
    """
    unsuited = [name for name in names_of(texts) if name in OF_IMAGES]
    if unsuited and len(input_shape) != 3:
        raise DataError(
            f"{unsuited[0]} augments images, and the inputs have the shape {tuple(input_shape)}",
            where="augment",
            remedy=f"Leave it out; for any inputs there is {', '.join(OF_ANY_INPUT)}",
        )
