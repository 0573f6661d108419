"""Models by name: `create("resnet20", data)`."""

from trainwell.models.catalogue import CATALOGUE, ModelSpec, create

__all__ = ["CATALOGUE", "ModelSpec", "create"]
