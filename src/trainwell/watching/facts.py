"""What is known of a training without reading a number: its model, optimiser and data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.watching.bounds import share_at_bound
from trainwell.watching.twins import count_twins
from trainwell.watching.undisturbed import count_parameters

NORMS = (
    nn.modules.batchnorm._BatchNorm,  # pyright: ignore[reportPrivateUsage]
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,  # pyright: ignore[reportPrivateUsage]
)
BATCH_NORM = nn.modules.batchnorm._BatchNorm  # pyright: ignore[reportPrivateUsage]
DROPOUT = nn.modules.dropout._DropoutNd  # pyright: ignore[reportPrivateUsage]
RECURRENT = nn.RNNBase


DECOUPLED = ("muon", "adafactor", "lion", "lamb")
"""How names of optimisers begin, of torch and others, that have no W as AdamW's has."""
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Facts:
    """What holds for the whole training.

    Attributes:
        optimizer: Name of its class, in lower case.
        momentum: Its momentum, or Adam's first decay; 0 without.
        weight_decay: The largest of its groups.
        decouples: Whether it takes a share of the weights away, apart from the gradient.
        maximize: Whether a group climbs the gradient instead of descending.
        maximize_some: Whether another one descends.
        parameters: Numbers in the model.
        hidden_units: Of the widest layer but the last; 0 for a model with one layer of weights.
        narrowest: Units of the narrowest layer but the last; 0 likewise.
        ends_with_norm: Whether the outputs come out of a batch normalisation.
        norms_at_zero: Whether the scales of all normalisations, of two at least, begin at zero.
        ends_constant: Whether the outputs come out of a normalisation of single numbers.
        weight_layers: Layers with weights.
        dropout: Largest probability of a dropout; 0 without.
        dropout_left: What all dropouts of a sequence of layers leave of a value; 1 without.
        input_dropout: Probability of one before the first weights of a sequence; 0 without.
        batch_norms: How many batch normalisations there are.
        norms: How many normalisations of any kind.
        norms_by_batch: Whether a batch normalisation keeps no running statistics.
        recurrent: Whether there is a recurrent layer.
        embeds: Whether the first layer looks up an embedding.
        embeddings: Names of the weights of embeddings.
        normalises_inputs: Whether the first layer normalises.
        task: As the user said it, else empty.
        loss_name: Name of the class or function of the loss that was given, else empty.
        outside: Names of trainable parameters of the model that no group of the optimiser has.
        strangers: Tensors in the optimiser that are not the model's.
        trainable: Names of the parameters that are trained.
        twins: Share of hidden units that begin with the very weights of another unit.
        resumed: Whether the optimiser had made steps before.
        bound: Share of what had exactly the largest size; see `bounds`.
        slow_group: Names of the parameters whose group has a rate below a 300th of the largest.
        zero_rate: Names of the parameters in groups whose rate is zero at the start.
        first_sizes: Root mean square of each weight when the watcher was attached, by name.
        first_gates: Of the gate of a recurrent layer that was furthest from the middle, the size of
            its bias; 0 without gates.
        first_means: Mean of each weight then, by name.
        frozen: Names of the parameters that ask for no gradient.
    """

    optimizer: str = ""
    momentum: float = 0.0
    weight_decay: float = 0.0
    decouples: bool = False
    maximize: bool = False
    maximize_some: bool = False
    parameters: int = 0
    hidden_units: int = 0
    narrowest: int = 0
    ends_with_norm: bool = False
    ends_constant: bool = False
    norms_at_zero: bool = False
    weight_layers: int = 0
    dropout: float = 0.0
    dropout_left: float = 1.0
    input_dropout: float = 0.0
    batch_norms: int = 0
    norms: int = 0
    norms_by_batch: bool = False
    recurrent: bool = False
    embeds: bool = False
    embeddings: tuple[str, ...] = ()
    normalises_inputs: bool = False
    task: str = ""
    loss_name: str = ""
    outside: tuple[str, ...] = ()
    strangers: int = 0
    trainable: tuple[str, ...] = field(default=())
    twins: float = math.nan
    zero_rate: tuple[str, ...] = ()
    slow_group: tuple[str, ...] = ()
    resumed: bool = False
    bound: float = 0.0
    first_sizes: Mapping[str, float] = field(default_factory=dict)
    first_means: Mapping[str, float] = field(default_factory=dict[str, float])
    first_gates: float = 0.0
    frozen: tuple[str, ...] = ()

    @property
    def adaptive(self) -> bool:
        """Whether the optimiser divides by the size of past gradients."""
        return any(name in self.optimizer for name in ("ada", "rms", "lamb", "lion", "rprop"))


def collect_facts(model: nn.Module, optimizer: Any, loss_fn: Any, task: str | None) -> Facts:
    """Looks at model and optimiser as they are now."""
    groups: list[dict[str, Any]] = list(getattr(optimizer, "param_groups", []))
    owned = {id(p) for group in groups for p in group["params"]}
    named = list(model.named_parameters())
    leaves = [m for m in model.modules() if not any(m.children())]
    weighted = [m for m in leaves if _is_weighted(m)]
    in_order = _list_in_order(model)
    first = next((m for m in leaves if any(True for _ in m.parameters(recurse=False))), None)
    return Facts(
        optimizer=type(optimizer).__name__.lower(),
        momentum=max((_momentum(group) for group in groups), default=0.0),
        weight_decay=max((float(g.get("weight_decay", 0) or 0) for g in groups), default=0.0),
        decouples=_decouples(optimizer, groups),
        maximize=any(bool(g.get("maximize", False)) for g in groups),
        maximize_some=len({bool(g.get("maximize", False)) for g in groups}) == 2,
        parameters=count_parameters(model),
        hidden_units=max((_width(m) for m in weighted[:-1]), default=0),
        narrowest=min((w for m in weighted[:-1] if (w := _width(m))), default=0),
        ends_with_norm=bool(leaves) and isinstance(leaves[-1], BATCH_NORM),
        norms_at_zero=_begin_at_zero([m for m in leaves if isinstance(m, NORMS)]),
        ends_constant=bool(leaves) and _gives_a_constant(leaves[-1]),
        weight_layers=len(weighted),
        dropout=max((float(m.p) for m in leaves if isinstance(m, DROPOUT)), default=0.0),
        dropout_left=math.prod(1 - p for p in _list_dropouts(in_order)),
        input_dropout=max(
            _list_dropouts(takewhile(lambda m: not any(True for _ in m.parameters()), in_order)),
            default=0.0,
        ),
        batch_norms=sum(isinstance(m, BATCH_NORM) for m in leaves),
        norms=sum(isinstance(m, NORMS) for m in leaves),
        norms_by_batch=any(isinstance(m, BATCH_NORM) and m.running_mean is None for m in leaves),
        recurrent=any(isinstance(m, RECURRENT | nn.RNNCellBase) for m in leaves),
        embeddings=tuple(
            f"{name}.weight" for name, m in model.named_modules() if isinstance(m, _EMBEDDINGS)
        ),
        embeds=isinstance(first, _EMBEDDINGS),
        normalises_inputs=isinstance(first, NORMS),
        task=task or "",
        loss_name=getattr(loss_fn, "__name__", type(loss_fn).__name__) if loss_fn else "",
        outside=tuple(name for name, p in named if p.requires_grad and id(p) not in owned),
        strangers=len(owned - {id(p) for _, p in named}),
        trainable=tuple(name for name, p in named if p.requires_grad and id(p) in owned),
        twins=count_twins(model),
        zero_rate=_list_zero_rate(groups, named),
        slow_group=_list_slow_group(groups, named),
        resumed=bool(getattr(optimizer, "state", None)),
        bound=share_at_bound(model),
        first_sizes=_measure_weights(named),
        first_means=_average_weights(named),
        first_gates=max((_measure_gates(m) for m in leaves), default=0.0),
        frozen=tuple(name for name, p in named if not p.requires_grad),
    )


def _decouples(optimizer: Any, groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether weight decay is apart from the gradient (Loshchilov & Hutter 2019)."""
    name = type(optimizer).__name__.lower()
    told = any(bool(group.get("decoupled_weight_decay", False)) for group in groups)
    return told or name.endswith("w") or "adamw" in name or name.startswith(DECOUPLED)


def _measure_weights(named: Sequence[tuple[str, nn.Parameter]]) -> dict[str, float]:
    """Root mean squares, all of them in one transfer."""
    weights = _list_weights(named)
    if not weights:
        return {}
    norms = torch._foreach_norm([p for _, p in weights])
    sizes = torch.stack([norm.float().cpu() for norm in norms]).tolist()
    return {n: size / math.sqrt(p.numel()) for (n, p), size in zip(weights, sizes, strict=True)}


def _list_weights(named: Sequence[tuple[str, nn.Parameter]]) -> list[tuple[str, Tensor]]:
    known = [(name, p.detach()) for name, p in named if not _is_lazy(p)]
    return [(n, p) for n, p in known if p.ndim > 1 and p.numel() and p.is_floating_point()]


def _average_weights(named: Sequence[tuple[str, nn.Parameter]]) -> dict[str, float]:
    """The mean of each weight."""
    weights = _list_weights(named)
    if not weights:
        return {}
    means = torch.stack([p.float().mean().cpu() for _, p in weights]).tolist()
    return {n: mean for (n, _), mean in zip(weights, means, strict=True)}


def _measure_gates(module: nn.Module) -> float:
    """The largest of the gates' median biases; the candidates for a new state are no gates."""
    if not isinstance(module, nn.LSTM | nn.GRU) or not module.bias:
        return 0.0
    gates, parts = ((0, 1, 3), 4) if isinstance(module, nn.LSTM) else ((0, 1), 3)
    named = dict(module.named_parameters())
    sizes = [
        (named[name].detach() + named[name.replace("ih", "hh")].detach())
        .chunk(parts)[gate]
        .median()
        for name in named
        if name.startswith("bias_ih")
        for gate in gates
    ]
    return float(torch.stack(sizes).abs().max())


def _list_in_order(model: nn.Module) -> list[nn.Module]:
    """The layers of a sequence in the order of their calls; of another model none are known."""
    if not isinstance(model, nn.Sequential):
        return []
    parts = ([child] if not isinstance(child, nn.Sequential) else _list_in_order(child)
             for child in model)  # fmt: skip
    return [layer for part in parts for layer in part]


def _list_dropouts(layers: Iterable[nn.Module]) -> list[float]:
    return [float(layer.p) for layer in layers if isinstance(layer, DROPOUT)]


def _gives_a_constant(module: nn.Module) -> bool:
    """Whether it normalises single numbers, each of which becomes the bias."""
    return isinstance(module, nn.LayerNorm) and math.prod(module.normalized_shape) == 1


def _begin_at_zero(norms: Sequence[nn.Module]) -> bool:
    scales = [w for m in norms if isinstance(w := getattr(m, "weight", None), nn.Parameter)]
    scales = [scale for scale in scales if not _is_lazy(scale)]
    return len(scales) > 1 and not any(bool(scale.detach().any()) for scale in scales)


def _is_lazy(parameter: nn.Parameter) -> bool:
    """Whether it has no values before the first pass."""
    return isinstance(parameter, nn.parameter.UninitializedParameter)


def _is_weighted(module: nn.Module) -> bool:
    if isinstance(module, RECURRENT):
        return True
    weight = getattr(module, "weight", None)
    return weight is not None and getattr(weight, "ndim", 0) > 1


def _width(module: nn.Module) -> int:
    for name in ("out_features", "out_channels", "hidden_size", "embedding_dim"):
        if hasattr(module, name):
            return int(getattr(module, name))
    return 0


def _momentum(group: dict[str, Any]) -> float:
    if "momentum" in group:
        return float(group["momentum"] or 0)
    betas = group.get("betas")
    return float(betas[0]) if betas else 0.0


def _list_zero_rate(groups: list[dict[str, Any]], named: list[tuple[str, Any]]) -> tuple[str, ...]:
    if not any(float(group.get("lr", 1)) > 0 for group in groups):
        return ()
    still = {id(p) for g in groups if float(g.get("lr", 1)) == 0 for p in g["params"]}
    return tuple(name for name, p in named if id(p) in still)


def _list_slow_group(groups: list[dict[str, Any]], named: list[tuple[str, Any]]) -> tuple[str, ...]:
    largest = max((float(group.get("lr", 1)) for group in groups), default=0.0)
    slow = {id(p) for g in groups if 0 < float(g.get("lr", 1)) < largest / 300 for p in g["params"]}
    return tuple(name for name, p in named if id(p) in slow)
