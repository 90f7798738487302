"""Right answers to the exercises of notebook 04 in other styles than ours: they must pass."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# ------------------------------------------------------------------------------------------------ 04.1


def features_reversed(grids, double):
    planes = None
    for level, grid in reversed(list(enumerate(grids))):
        if planes is None:
            planes = grid.unsqueeze(0)
            continue
        bigger = double(planes, level)
        bigger = torch.narrow(torch.narrow(bigger, 1, 0, grid.shape[0]), 2, 0, grid.shape[1])
        planes = torch.concatenate((grid.reshape(1, *grid.shape), bigger), dim=0)
    return planes


def features_by_grid(grids, double):
    def lifted(index):
        plane = grids[index][None]
        for level in range(index - 1, -1, -1):
            plane = double(plane, level)[..., : grids[level].shape[0], : grids[level].shape[1]]
        return plane[0]

    return torch.stack([lifted(index) for index in range(len(grids))])


def features_recursive(grids, double, level=0):
    if level == len(grids) - 1:
        return grids[level].unsqueeze(0)
    rows, columns = grids[level].size()
    coarser = double(features_recursive(grids, double, level + 1), level)
    result = coarser.new_zeros(len(grids) - level, rows, columns)
    result[0] = grids[level]
    result[1:] = coarser[:, :rows, :columns]
    return result


# ------------------------------------------------------------------------------------------------ 04.2


def soft_round_by_remainder(values, temperature):
    rest = values % 1 - 0.5
    return values - rest + rest.div(temperature).tanh() / math.tanh(1 / (2 * temperature)) / 2


def soft_round_in_float64(values, temperature):
    y = values.double()
    base = torch.floor(y).detach()
    step = torch.tanh((y - base - 0.5) / temperature) / (2 * np.tanh(0.5 / temperature))
    return (base + 0.5 + step).float()


def soft_round_in_place(values, temperature):
    low = torch.floor(values)
    result = (values.clone() - low).sub_(0.5).div_(temperature).tanh_()
    return result / (2 * torch.tanh(torch.tensor(0.5 / temperature))) + low + 0.5


def soft_round_by_where(values, temperature):
    low = torch.where(values < 0, -torch.ceil(-values), values.floor())
    return low + 0.5 + 0.5 * torch.tanh((values - low - 0.5) / temperature) / math.tanh(0.5 / temperature)


# ------------------------------------------------------------------------------------------------ 04.3


def neighbours_by_loops(grid, offsets):
    rows, columns = grid.shape
    zero = grid.new_zeros(())
    planes = []
    for down, right in offsets:
        cells = [
            grid[i + down, j + right] if 0 <= i + down < rows and 0 <= j + right < columns else zero
            for i in range(rows)
            for j in range(columns)
        ]
        planes.append(torch.stack(cells).view(rows, columns))
    return torch.stack(planes)


def neighbours_by_convolution(grid, offsets):
    kernel = grid.new_zeros(len(offsets), 1, 9, 9)
    for index, (row, column) in enumerate(offsets):
        kernel[index, 0, 4 + row, 4 + column] = 1
    return F.conv2d(grid[None, None], kernel, padding=4)[0]


def neighbours_in_a_table(grid, offsets):
    rows, columns = grid.shape
    result = torch.zeros((len(offsets), rows, columns), device=grid.device)
    for index, (row, column) in enumerate(offsets):
        top, bottom = max(0, -row), rows - max(0, row)
        left, right = max(0, -column), columns - max(0, column)
        if top < bottom and left < right:
            result[index, top:bottom, left:right] = grid[top + row : bottom + row, left + column : right + column]
    return result


def neighbours_by_index(grid, offsets):
    rows, columns = grid.shape
    i = torch.arange(rows, device=grid.device)[None, :, None] + torch.tensor([r for r, _ in offsets])[:, None, None]
    j = torch.arange(columns, device=grid.device)[None, None, :] + torch.tensor([c for _, c in offsets])[:, None, None]
    inside = (i >= 0) & (i < rows) & (j >= 0) & (j < columns)
    return torch.where(inside, grid[i.clamp(0, rows - 1), j.clamp(0, columns - 1)], 0.0)


# ------------------------------------------------------------------------------------------------ 04.4


def bits_by_torch_distributions(values, location, log2_scale):
    law = torch.distributions.Laplace(location, 2.0**log2_scale)
    return -(law.cdf(values + 0.5) - law.cdf(values - 0.5)).clamp_min(2**-16).log2()


def bits_by_where(values, location, log2_scale):
    """The formula with its two cases, in both of which the exponent stays negative."""
    b, distance = 2**log2_scale, values - location

    def area_left_of(x):
        tail = 0.5 * torch.exp(-x.abs() / b)
        return torch.where(x < 0, tail, 1 - tail)

    p = area_left_of(distance + 0.5) - area_left_of(distance - 0.5)
    return -torch.log2(torch.maximum(p, torch.full_like(p, 2.0**-16)))


def bits_in_float64(values, location, log2_scale):
    y, mu, b = values.double(), location.double(), torch.exp(log2_scale.double() * math.log(2))
    upper, lower = y + 0.5 - mu, y - 0.5 - mu
    p = 0.5 * (upper.sign() * -torch.expm1(-upper.abs() / b) - lower.sign() * -torch.expm1(-lower.abs() / b))
    return (-torch.log(p.clamp(min=1e-9)) / math.log(2)).float()


def bits_by_symmetry(values, location, log2_scale):
    b, distance = torch.exp2(log2_scale), (values - location).abs()
    near = torch.exp(-(distance - 0.5).abs() / b)
    far = torch.exp(-(distance + 0.5) / b)
    p = torch.where(distance < 0.5, 1 - 0.5 * (near + far), 0.5 * (near - far))
    return torch.log2(1 / (p + 1e-7))


# ------------------------------------------------------------------------------------------------ 04.5


class ContextInParts(nn.Module):
    """Without `torch.cat`: the last layer's matrix in two parts; ReLU by `torch.where`."""

    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(neighbours, width), nn.Linear(width, width), nn.Linear(width + neighbours, 2)])

    def forward(self, contexts):
        first, second, last = self.layers
        hidden = first(contexts)
        hidden = torch.where(hidden > 0, hidden, 0.0)
        hidden = hidden + second(hidden)
        hidden = torch.where(hidden > 0, hidden, 0.0)
        width = hidden.shape[-1]
        result = hidden @ last.weight[:, :width].T + contexts @ last.weight[:, width:].T + last.bias
        return result[:, 0], result[:, 1]


class ContextOfParameters(nn.Module):
    """Bare parameters, and a tensor (2, n) as the result."""

    def __init__(self, neighbours, width):
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(width, neighbours) / 3), nn.Parameter(torch.zeros(width))
        self.w2, self.b2 = nn.Parameter(torch.zeros(width, width)), nn.Parameter(torch.zeros(width))
        self.w3, self.b3 = nn.Parameter(torch.randn(2, width + neighbours) / 30), nn.Parameter(torch.zeros(2))

    def forward(self, contexts):
        columns = contexts.T
        h = (self.w1 @ columns + self.b1[:, None]).clamp(min=0)
        h = F.relu(self.w2 @ h + self.b2[:, None] + h)
        return self.w3 @ torch.vstack([h, columns]) + self.b3[:, None]


class ContextOfSequentials(nn.Module):
    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(neighbours, width), nn.ReLU())
        self.residual = nn.Linear(width, width)
        self.outer = nn.Linear(neighbours + width, 2)
        nn.init.zeros_(self.outer.bias)

    def forward(self, contexts):
        h = self.inner(contexts)
        h = torch.maximum(h + self.residual(h), torch.zeros_like(h))
        laws = self.outer(torch.hstack((h, contexts)))
        return [laws[..., k] for k in range(2)]


# ------------------------------------------------------------------------------------------------ 04.6


def step_by_functional(model, picture, lmbda, stand_in, optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    grids = model.split(stand_in(model.latents * 16))
    distortion = F.mse_loss(model.paint(grids), picture)
    rate = torch.sum(model.bits_of(grids)) / picture[0].numel()
    cost = torch.add(distortion, rate, alpha=lmbda)
    cost.backward()
    [optimizer.step() for optimizer in optimizers]
    return float(distortion.detach()), float(rate.detach())


def step_backwards_twice(model, picture, lmbda, stand_in, optimizers):
    grids = model.split(stand_in(16 * model.latents))
    bits, (_, height, width) = model.bits_of(grids), picture.shape
    rate = sum(bits) / height / width
    distortion = torch.square(picture - model.paint(grids)).mean()
    first, second = optimizers
    first.zero_grad()
    second.zero_grad()
    distortion.backward(retain_graph=True)
    (lmbda * rate).backward()
    second.step()
    first.step()
    return [distortion.item(), rate.item()]


def step_by_numpy(model, picture, lmbda, stand_in, optimizers):
    grids = model.split(stand_in(16 * model.latents))
    error = model.paint(grids).sub(picture).pow(2)
    distortion, rate = error.sum() / error.numel(), model.bits_of(grids).sum() * (1 / np.prod(picture.shape[1:]).item())
    model.zero_grad()
    (distortion + rate * lmbda).backward()
    for optimizer in reversed(optimizers):
        optimizer.step()
    return np.float64(distortion.item()), np.float64(rate.item())


# ------------------------------------------------------------------------------------------------ 04.7


def layer_in_int64(matrix, columns):
    whole = (matrix.double() * 4096).round().long()
    total = whole[:, :-1] @ columns.long() + whole[:, -1:] * 4096
    return torch.div(total, 4096, rounding_mode="floor").double()


def layer_by_numpy(matrix, columns):
    whole = np.rint(matrix.cpu().numpy().astype(np.float64) * 4096)
    inputs = np.vstack([columns.cpu().numpy(), np.full((1, columns.shape[1]), 4096.0)])
    return torch.from_numpy(np.floor(whole @ inputs / 4096)).to(columns.device)


def layer_by_loops(matrix, columns):
    whole = torch.round(matrix.to(torch.float64) * 2**12)
    result = torch.zeros(len(matrix), columns.shape[1], dtype=torch.float64, device=columns.device)
    for j, column in enumerate(columns.T):
        for i, row in enumerate(whole):
            result[i, j] = (row[:-1] @ column + row[-1] * 4096) // 4096
    return result


RIGHT = {
    "04.1": {"reversed": features_reversed, "grid by grid": features_by_grid, "recursive": features_recursive},
    "04.2": {
        "remainder": soft_round_by_remainder,
        "float64": soft_round_in_float64,
        "in place": soft_round_in_place,
        "torch.where": soft_round_by_where,
    },
    "04.3": {
        "loops": neighbours_by_loops,
        "convolution": neighbours_by_convolution,
        "in a table": neighbours_in_a_table,
        "by index": neighbours_by_index,
    },
    "04.4": {
        "torch.distributions": bits_by_torch_distributions,
        "torch.where": bits_by_where,
        "float64": bits_in_float64,
        "by symmetry": bits_by_symmetry,
    },
    "04.5": {"in parts": ContextInParts, "bare parameters": ContextOfParameters, "Sequential": ContextOfSequentials},
    "04.6": {"functional": step_by_functional, "backwards twice": step_backwards_twice, "NumPy": step_by_numpy},
    "04.7": {"int64": layer_in_int64, "NumPy": layer_by_numpy, "loops": layer_by_loops},
}
