"""Why recipe fields have the values that they have: one sentence for each."""

from __future__ import annotations

from collections.abc import Mapping

OF_MODELS: Mapping[str, str] = {
    "epochs": "So many passes bring this model near its best score.",
    "batch_size": "The model's publication, or its memory, asks for batches of about this size.",
    "optimizer": "The model's layers, or its learning rule, call for it.",
    "learning_rate": "A rate at which this model trains fast and stays stable.",
    "momentum": "The model's learning rule was written with this much momentum.",
    "weight_decay": "So this model generalises well, with what else it has for that.",
    "schedule": "The model's learning rule lets its rate change like this.",
    "warmup": "The model's learning rule starts at its full rate.",
    "clip_norm": "Without normalisation between its layers, single gradients can be huge.",
    "augment": "The images stay true when they are changed so, and the model sees more of them.",
    "loss": "The model is defined by this loss.",
}
"""Of fields that models of the catalogue ask for."""

OF_OPTIMIZERS: Mapping[str, str] = {
    "learning_rate": "Works for most models; the right one is found by trying powers of ten.",
    "weight_decay": "A mild pull towards zero that seldom harms.",
    "momentum": "Averages about 1 / (1 − momentum) gradients, which smooths the path.",
}
"""Of fields that optimisers bring with them."""

OF_DEFAULTS: Mapping[str, str] = {
    "optimizer": "Momentum that looks ahead (Nesterov 1983) generalises well and has few settings.",
    "schedule": "Falls smoothly to nearly zero without more settings (Loshchilov & Hutter 2017).",
    "schedule_unit": "A rate that changes at every step has no jumps.",
    "warmup": "The first gradients are the largest, so the rate rises first (Goyal et al. 2017).",
    "precision": "Measures what the processor has, and takes the faster.",
    "compile": "Measures whether it pays; compiling takes longer than most small trainings.",
    "clip_norm": "A gradient that is clipped without need only slows the training.",
    "accumulate": "The batch fits the memory as it is.",
    "average": "A rate that falls to nearly zero does much of what averaging does.",
    "l1": "Weight decay is the milder penalty.",
    "l2": "Weight decay does the same, apart from the gradient (Loshchilov & Hutter 2019).",
    "max_norm": "Only much dropout at high rates calls for it (Srivastava et al. 2014).",
    "dropout_schedule": "Units are dropped all the time as the model says.",
    "early_stop": "The schedule needs its end; the validation loss is watched all the same.",
    "augment": "Which changes leave an example true depends on the data, so none is made unasked.",
    "mixup": "Examples stay as they are; mix them where data is scarce (Zhang et al. 2018).",
    "label_smoothing": "Probabilities stay honest; smooth them where labels are noisy.",
    "loss": "The loss of maximum likelihood for the task.",
    "start_from": "The training begins with fresh weights.",
    "freeze": "All parameters are trained.",
    "layer_decay": "All layers learn at the same rate.",
    "unfreeze_every": "All layers are trained from the start.",
    "seed": "Any fixed number makes the run repeatable.",
    "check": "A look before the training takes a moment and spares a training in vain.",
    "watch": "Reading the layers now and then costs little and shows what is wrong.",
    "repair": "A recipe that you wrote is not changed unless you ask for it.",
    "device": "An accelerator is used where there is one.",
    "window": "Readings this far apart cost nothing that can be measured.",
    "checkpoint_every": "Checkpoints follow the clock instead.",
    "checkpoint_seconds": "At most this much work is lost, and writing stays cheap.",
    "keep": "The newest, and one more in case it is damaged.",
    "deterministic": "Operations that are not deterministic are rare, and often faster.",
    "workers": "Data in memory needs no processes that read.",
}
"""Of fields that neither the user nor model, data or optimiser decides."""
