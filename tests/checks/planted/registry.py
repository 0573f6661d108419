"""All planted faults, in the order of their families."""

from __future__ import annotations

from tests.checks.planted.backward import BACKWARD
from tests.checks.planted.capacity import CAPACITY
from tests.checks.planted.data import DATA
from tests.checks.planted.evaluation import EVALUATION
from tests.checks.planted.fault import Family, PlantedFault
from tests.checks.planted.gradients import GRADIENTS
from tests.checks.planted.initialisation import INITIALISATION
from tests.checks.planted.labels import LABELS
from tests.checks.planted.losses import LOSSES
from tests.checks.planted.outputs import OUTPUTS
from tests.checks.planted.parameters import PARAMETERS
from tests.checks.planted.rates import RATES
from tests.checks.planted.splits import SPLITS

FAMILIES: tuple[Family, ...] = (
    DATA,
    LABELS,
    SPLITS,
    INITIALISATION,
    OUTPUTS,
    LOSSES,
    PARAMETERS,
    GRADIENTS,
    BACKWARD,
    EVALUATION,
    RATES,
    CAPACITY,
)
FAULTS: tuple[PlantedFault, ...] = tuple(fault for family in FAMILIES for fault in family.faults)


def find(name: str) -> PlantedFault:
    """The fault of that name.

    Raises:
        KeyError: There is none.
    """
    return {fault.name: fault for fault in FAULTS}[name]
