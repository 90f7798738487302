"""Wrong answers to the later exercises of notebook 04: the context network, the fit, whole numbers."""

from __future__ import annotations

import torch
from torch import nn

# ------------------------------------------------------------------------------------------------ 04.5


class Context(nn.Module):
    """A right answer as a participant would write it, to be spoilt."""

    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.first = nn.Linear(neighbours, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width + neighbours, 2)

    def forward(self, contexts):
        hidden = torch.relu(self.first(contexts))
        hidden = torch.relu(self.second(hidden) + hidden)
        location, log2_scale = self.last(torch.cat([hidden, contexts], dim=-1)).unbind(-1)
        return location, log2_scale


class HiddenAlone(Context):
    def __init__(self, neighbours=10, width=8):
        super().__init__(neighbours, width)
        self.last = nn.Linear(width, 2)

    def forward(self, contexts):
        hidden = torch.relu(self.first(contexts))
        return self.last(torch.relu(self.second(hidden) + hidden)).unbind(-1)


class NotResidual(Context):
    def forward(self, contexts):
        hidden = torch.relu(self.second(torch.relu(self.first(contexts))))
        return self.last(torch.cat([hidden, contexts], dim=-1)).unbind(-1)


class NoBends(Context):
    def forward(self, contexts):
        hidden = self.first(contexts)
        return self.last(torch.cat([self.second(hidden) + hidden, contexts], dim=-1)).unbind(-1)


class BendAtTheEnd(Context):
    def forward(self, contexts):
        location, log2_scale = super().forward(contexts)
        return location.relu(), log2_scale.relu()


class Normalized(Context):
    def forward(self, contexts):
        return super().forward(contexts - contexts.mean(0))


class OneTensor(Context):
    def forward(self, contexts):
        return torch.stack(super().forward(contexts), dim=-1)


class NeighboursDetached(Context):
    def forward(self, contexts):
        return super().forward(contexts.detach())


class InAList(nn.Module):
    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.layers = [nn.Linear(neighbours, width), nn.Linear(width, width), nn.Linear(width + neighbours, 2)]


# ------------------------------------------------------------------------------------------------ 04.6


def stepper(*, price="right", pixels="right", zero=True, both=True, numbers=True, distance=lambda error: (error**2).mean()):
    def step(model, picture, lmbda, stand_in, optimizers):
        grids = model.split(stand_in(16.0 * model.latents))
        distortion = distance(model.paint(grids) - picture)
        count = {"right": picture.shape[1] * picture.shape[2], "one": 1, "colours": picture.numel()}[pixels]
        rate = model.bits_of(grids).sum() / count
        cost = distortion + (0 if price == "none" else lmbda) * rate
        if zero:
            for optimizer in optimizers:
                optimizer.zero_grad()
        cost.backward()
        for optimizer in optimizers if both else optimizers[:1]:
            optimizer.step()
        return (distortion.item(), rate.item()) if numbers else (distortion, rate)

    return step


def in_order(words):
    def step(model, picture, lmbda, stand_in, optimizers):
        grids = model.split(stand_in(16.0 * model.latents))
        distortion = ((model.paint(grids) - picture) ** 2).mean()
        rate = model.bits_of(grids).sum() / (picture.shape[1] * picture.shape[2])
        for word in words.split():
            if word == "backward":
                (distortion + lmbda * rate).backward()
            for optimizer in optimizers if word != "backward" else ():
                getattr(optimizer, {"zero": "zero_grad", "step": "step"}[word])()
        return distortion.item(), rate.item()

    return step


def latents_detached(model, picture, lmbda, stand_in, optimizers):
    return stepper()(model, picture, lmbda, lambda values: stand_in(values.detach()), optimizers)


def backward_for_each(model, picture, lmbda, stand_in, optimizers):
    grids = model.split(stand_in(16.0 * model.latents))
    distortion = ((model.paint(grids) - picture) ** 2).mean()
    rate = model.bits_of(grids).sum() / (picture.shape[1] * picture.shape[2])
    for optimizer in optimizers:
        optimizer.zero_grad()
        (distortion + lmbda * rate).backward(retain_graph=True)
        optimizer.step()
    return distortion.item(), rate.item()


# ------------------------------------------------------------------------------------------------ 04.7


def small_bias(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return torch.floor((whole[:, :-1] @ columns + whole[:, -1:]) / 4096)


def exact_weights(matrix, columns):
    matrix = matrix.double() * 4096
    return torch.floor((matrix[:, :-1] @ columns + matrix[:, -1:] * 4096) / 4096)


def towards_zero(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return torch.trunc((whole[:, :-1] @ columns + whole[:, -1:] * 4096) / 4096)


def single_precision(matrix, columns):
    whole = torch.round(matrix * 4096)
    return torch.floor((whole[:, :-1] @ columns.float() + whole[:, -1:] * 4096) / 4096)


def single_sums(matrix, columns):
    whole = torch.round(matrix * 4096)
    total = whole[:, :-1] @ columns.float() + whole[:, -1:] * 4096
    return torch.floor(total.double() / 4096)


def not_divided(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return whole[:, :-1] @ columns + whole[:, -1:] * 4096


def fractions_kept(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return (whole[:, :-1] @ columns + whole[:, -1:] * 4096) / 4096


def layer(bias=4096, end=torch.floor):
    def integer_layer(matrix, columns):
        whole = torch.round(matrix.double() * 4096)
        return end((whole[:, :-1] @ columns + whole[:, -1:] * bias) / 4096)

    return integer_layer


def fine_bias(matrix, columns):
    matrix = matrix.double() * 4096
    return torch.floor((matrix[:, :-1].round() @ columns + (matrix[:, -1:] * 4096).round()) / 4096)


MUTANTS = {
    "04.5": {
        "last layer without the neighbours": (HiddenAlone, "hidden numbers alone"),
        "second layer not residual": (NotResidual, "not added to its output"),
        "no ReLUs": (NoBends, "ReLUs are missing"),
        "a ReLU at the end": (BendAtTheEnd, "may be negative"),
        "normalized over the table": (Normalized, "doesn't have yet"),
        "one tensor": (OneTensor, "hand back two"),
        "neighbours detached": (NeighboursDetached, "no gradient comes back to the neighbours"),
        "layers in a list": (InAList, "plain Python list"),
    },
    "04.6": {
        "bits of the whole picture": (stepper(pixels="one"), "whole picture"),
        "three pixels for one": (stepper(pixels="colours"), "once for each colour"),
        "rate without a price": (stepper(price="none"), "rate doesn't count"),
        "gradients pile up": (stepper(zero=False), "pile up"),
        "one optimizer": (stepper(both=False), "only one of the two"),
        "tensors returned": (stepper(numbers=False), "graph of gradients"),
        "gradients zeroed in between": (in_order("backward zero step"), "back at zero"),
        "step first": (in_order("zero step backward"), "before there are gradients"),
        "latents detached": (latents_detached, "gets no gradient"),
        "R and D": (lambda *arguments: stepper()(*arguments)[::-1], "other order"),
        "root": (stepper(distance=lambda error: (error**2).mean().sqrt()), "root of the mean"),
        "PSNR": (stepper(distance=lambda error: -10 * torch.log10((error**2).mean())), "the PSNR"),
        "two backwards": (backward_for_each, "once for each optimizer"),
    },
    "04.7": {
        "bias too small": (small_bias, "4096 times too small"),
        "weights not rounded": (exact_weights, "not rounded"),
        "cut off for floor": (towards_zero, "towards 0"),
        "float32": (single_precision, "the result is float32"),
        "sums in float32": (single_sums, "on their way"),
        "rounded up": (layer(end=torch.ceil), "rounded up"),
        "32-bit integers": (lambda matrix, columns: layer()(matrix, columns).int(), "a type for integers"),
        "cut off by int": (lambda matrix, columns: layer(end=torch.Tensor.int)(matrix, columns), "and its result stays float64"),
        "not divided": (not_divided, "units of 1/4096²"),
        "fractions kept": (fractions_kept, "no whole number"),
        "no bias": (layer(bias=0), "bias is missing"),
        "bias too large": (layer(bias=4096**2), "4096 times too large"),
        "bias too fine": (fine_bias, "in units of 1/4096²: it is rounded"),
        "first column": (lambda matrix, columns: layer()(matrix.roll(-1, 1), columns), "first column"),
        "inputs in smaller units": (lambda matrix, columns: layer()(matrix, columns * 4096), "multiplied with 4096 again"),
    },
}
