"""Augmentation that destroys the inputs or changes the label is found; a fitting one is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.checks.data.healthy_programs import codes, program
from trainwell.checks.data.augmentation import check_augmentation
from trainwell.data.augment import compose


def permuted(inputs: Tensor) -> Tensor:
    return inputs[torch.randperm(len(inputs))]


def half(change):
    """The change in one half of the examples, chosen at random."""

    def some(inputs: Tensor) -> Tensor:
        chosen = torch.rand(len(inputs), *[1] * (inputs.ndim - 1)) < 0.5
        return torch.where(chosen, change(inputs), inputs)

    return some


def pixels_permuted(images: Tensor) -> Tensor:
    return images.flatten(2)[:, :, torch.randperm(64)].reshape(images.shape)


FITTING = {
    "nothing": lambda x: x,
    "a little noise": lambda x: x + 0.1 * torch.randn_like(x) * x.std(),
    "brightness": lambda x: x * (0.8 + 0.4 * torch.rand(len(x), 1, 1, 1)),
    "moved by a pixel": half(lambda x: x.roll(1, 3)),
}
FAULTS = {
    "blank": torch.zeros_like,
    "not a number": lambda x: x / 0,
    "another range": lambda x: x * 255,
    "moved": lambda x: x + 10,
    "noise": lambda x: x + 4 * torch.randn_like(x) * x.std(),
    "nearly all erased": lambda x: x * (torch.rand_like(x) < 0.03),
    "another shape": lambda x: x[:, :, :4],
    "labels of others": permuted,
    "pixels in random order": pixels_permuted,
    "upside down": lambda x: x.flip(2),
    "sometimes turned over": half(lambda x: x.flip(2).flip(3)),
}


@pytest.mark.parametrize("name", FITTING)
def test_an_augmentation_that_fits_passes(name: str) -> None:
    subject = program("digit images").subject(augment=FITTING[name])
    assert check_augmentation(subject)
    assert codes(check_augmentation, subject) == []


@pytest.mark.parametrize("name", FAULTS)
def test_an_augmentation_that_harms_is_found(name: str) -> None:
    subject = program("digit images").subject(augment=FAULTS[name])
    assert [code for code, _ in codes(check_augmentation, subject)] == ["bad_augmentation"]


@pytest.mark.parametrize("name", ["wine", "breast cancer", "blobs"])
def test_vectors_may_be_noisy_but_not_in_another_order(name: str) -> None:
    healthy = program(name)
    noisy = healthy.subject(augment=lambda x: x + 0.1 * torch.randn_like(x))
    assert codes(check_augmentation, noisy) == []
    found = codes(check_augmentation, healthy.subject(augment=permuted))
    assert [code for code, _ in found] == ["bad_augmentation"]


@pytest.mark.parametrize("texts", [("shift(1)",), ("noise(0.1)",)])
def test_augmentations_of_recipes_take_a_draw(texts: tuple[str, ...]) -> None:
    subject = program("digit images").subject(augment=compose(texts))
    assert check_augmentation(subject)
    assert codes(check_augmentation, subject) == []


def test_a_module_may_augment() -> None:
    subject = program("digits").subject(augment=torch.nn.Dropout(0.1))
    assert codes(check_augmentation, subject) == []


def test_without_augmentation_there_is_nothing_to_say() -> None:
    assert check_augmentation(program("digits").subject()) == []
