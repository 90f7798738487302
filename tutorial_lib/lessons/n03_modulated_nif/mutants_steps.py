"""Wrong answers to the exercises of notebook 03 on training: its schedule, its restarts and the race."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

# ------------------------------------------------------------------------------------------------ 03.4


def once(t, period, warm_up, floor):
    f = t / (warm_up - 1) if t < warm_up else 1 - t / period
    return floor + (1 - floor) * f


def slow_rise(t, period, warm_up, floor):
    t = t % period
    f = t / warm_up if t < warm_up else 1 - t / period
    return floor + (1 - floor) * f


def no_jump(t, period, warm_up, floor):
    t = t % period
    f = t / (warm_up - 1) if t < warm_up else 1 - (t - warm_up) / (period - warm_up)
    return floor + (1 - floor) * f


def no_floor(t, period, warm_up, floor):
    t = t % period
    return t / (warm_up - 1) if t < warm_up else 1 - t / period


def floor_on_top(t, period, warm_up, floor):
    return floor + no_floor(t, period, warm_up, floor)


def one_too_long(t, period, warm_up, floor):
    t = t % period
    f = t / (warm_up - 1) if t <= warm_up else 1 - t / period
    return floor + (1 - floor) * f


def falls_on(t, period, warm_up, floor):
    f = (t % period) / (warm_up - 1) if t % period < warm_up else 1 - t / period
    return floor + (1 - floor) * f


def everything(weight, fraction, strength):
    return weight + (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean() / fraction


def the_others(weight, fraction, strength):
    kept = torch.rand_like(weight) > fraction
    return weight + kept * (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean() / fraction


def upwards(weight, fraction, strength):
    chosen = torch.rand_like(weight) < fraction
    return weight + chosen * torch.rand_like(weight) * strength * weight.abs().mean() / fraction


def gaussian(weight, fraction, strength):
    chosen = torch.rand_like(weight) < fraction
    return weight + chosen * torch.randn_like(weight) * strength * weight.abs().mean() / fraction


def first_ones(weight, fraction, strength):
    chosen = (torch.arange(weight.numel(), device=weight.device) < fraction * weight.numel()).view_as(weight)
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean() / fraction


def whole_rows(weight, fraction, strength):
    chosen = torch.rand(len(weight), 1, device=weight.device) < fraction
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean() / fraction


def not_divided(weight, fraction, strength):
    chosen = torch.rand_like(weight) < fraction
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean()


def mean_of_signed(weight, fraction, strength):
    chosen = torch.rand_like(weight) < fraction
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight.mean() / fraction


def restart(noise=lambda weight: 2 * torch.rand_like(weight) - 1, measure=lambda weight: weight.abs().mean(), scale="r/a"):
    def disturbed(weight, fraction, strength):
        factor = {"r/a": strength / fraction, "ra": strength * fraction, "1/a": 1 / fraction}[scale]
        chosen = torch.rand_like(weight) < fraction
        return weight + chosen * noise(weight) * factor * measure(weight)

    return disturbed


def smallest(weight, fraction, strength):
    chosen = weight.abs() < weight.abs().quantile(fraction)
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight.abs().mean() / fraction


def mean_of_the_chosen(weight, fraction, strength):
    chosen = torch.rand_like(weight) < fraction
    return weight + chosen * (2 * torch.rand_like(weight) - 1) * strength * weight[chosen].abs().mean() / fraction


def replaced(weight, fraction, strength):
    bound = strength * weight.abs().mean() / fraction
    return torch.where(torch.rand_like(weight) < fraction, bound * (2 * torch.rand_like(weight) - 1), weight)


def noise_alone(weight, fraction, strength):
    return everything(weight, fraction, strength).sub(weight) * (torch.rand_like(weight) < fraction)


def swapped_arguments(weight, fraction, strength):
    return restart()(weight, strength, fraction)


# ------------------------------------------------------------------------------------------------ 03.5


def run(network, optimizer, loss, seconds, clock, begun, *, zero=True, late=False, plain=True):
    points = []
    while clock() - begun < seconds:
        elapsed = clock() - begun
        error = loss(network)
        if zero:
            optimizer.zero_grad()
        error.backward()
        optimizer.step()
        points.append((clock() - begun if late else elapsed, error.item() if plain else error))
    return points


def heirs(start, optimizers, loss, seconds, clock=time.perf_counter):
    return {name: run(start, make(start.parameters()), loss, seconds, clock, clock()) for name, make in optimizers.items()}


def one_clock(start, optimizers, loss, seconds, clock=time.perf_counter):
    begun, curves = clock(), {}
    for name, make in optimizers.items():
        network = copy.deepcopy(start)
        curves[name] = run(network, make(network.parameters()), loss, seconds, clock, begun)
    return curves


def wrong_parameters(start, optimizers, loss, seconds, clock=time.perf_counter):
    return {
        name: run(copy.deepcopy(start), make(start.parameters()), loss, seconds, clock, clock())
        for name, make in optimizers.items()
    }


def equal_steps(start, optimizers, loss, seconds, clock=time.perf_counter):
    curves = {}
    for name, make in optimizers.items():
        network: nn.Module = copy.deepcopy(start)
        optimizer, begun, points = make(network.parameters()), clock(), []
        for _ in range(10):
            error = loss(network)
            points.append((clock() - begun, error.item()))
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        curves[name] = points
    return curves


def spoilt(**options):
    def race(start, optimizers, loss, seconds, clock=time.perf_counter):
        curves = {}
        for name, make in optimizers.items():
            network = copy.deepcopy(start)
            curves[name] = run(network, make(network.parameters()), loss, seconds, clock, clock(), **options)
        return curves

    return race


def first_alone(start, optimizers, loss, seconds, clock=time.perf_counter):
    name, make = next(iter(optimizers.items()))
    return spoilt()(start, {name: make}, loss, seconds, clock)


def loss_first(start, optimizers, loss, seconds, clock=time.perf_counter):
    curves = spoilt()(start, optimizers, loss, seconds, clock)
    return {name: [point[::-1] for point in points] for name, points in curves.items()}


def smallest_so_far(start, optimizers, loss, seconds, clock=time.perf_counter):
    right = {}
    for name, make in optimizers.items():
        network = copy.deepcopy(start)
        right[name] = run(network, make(network.parameters()), loss, seconds, clock, clock())
    return {
        name: [(at, min(error for _, error in points[: n + 1])) for n, (at, _) in enumerate(points)]
        for name, points in right.items()
    }


def one_list(start, optimizers, loss, seconds, clock=time.perf_counter):
    curves, points = {}, []
    for name, make in optimizers.items():
        network = copy.deepcopy(start)
        points += run(network, make(network.parameters()), loss, seconds, clock, clock())
        curves[name] = points
    return curves


def last_point(start, optimizers, loss, seconds, clock=time.perf_counter):
    return {name: points[-1:] for name, points in spoilt()(start, optimizers, loss, seconds, clock).items()}


MUTANTS = {
    "03.4a": {
        "one step alone": (once, "begin again"),
        "rise too slow": (slow_rise, "too slow"),
        "fall without a jump": (no_jump, "fall starts at 1"),
        "floor missing": (no_floor, "floor is missing"),
        "floor on top": (floor_on_top, "added on top"),
        "warm-up too long": (one_too_long, "one iteration too long"),
        "fall of all steps": (falls_on, "t of all steps"),
    },
    "03.4b": {
        "all weights": (everything, "all weights are disturbed"),
        "the other share": (the_others, "outside the share"),
        "one sign": (upwards, "one sign"),
        "normal for uniform": (gaussian, "normally distributed"),
        "the first ones": (first_ones, "left to chance"),
        "not divided by the share": (not_divided, "division by `fraction`"),
        "mean of signed weights": (mean_of_signed, "mean of |w|"),
        "replaced": (replaced, "takes the place"),
        "each weight's own size": (restart(measure=torch.abs), "own size"),
        "noise alone": (noise_alone, "weights are 0 now"),
        "arguments swapped": (swapped_arguments, "are swapped"),
        "from −½ to ½": (restart(noise=lambda w: torch.rand_like(w) - 0.5), "−½ to ½"),
        "strength missing": (restart(scale="1/a"), "`strength` is missing"),
        "times the share": (restart(scale="ra"), "multiplied with"),
        "standard deviation": (restart(measure=torch.std), "standard deviation"),
        "largest weight": (restart(measure=lambda w: w.abs().max()), "largest weight"),
        "the smallest": (smallest, "large or small ones"),
        "mean of the chosen": (mean_of_the_chosen, "over the chosen weights alone"),
        "one noise for a row": (restart(noise=lambda w: 2 * torch.rand(w.shape[0], 1) - 1), "of a row, or of a column"),
        "one noise for all": (restart(noise=lambda w: 2 * torch.rand(()) - 1), "same noise"),
    },
    "03.5": {
        "no copy of the start": (heirs, "where the first one ended"),
        "one clock for both": (one_clock, "no time left"),
        "optimizer of the wrong weights": (wrong_parameters, "losses never change"),
        "equal steps": (equal_steps, "same number of steps"),
        "zero_grad missing": (spoilt(zero=False), "pile up"),
        "time noted too late": (spoilt(late=True), "after the step"),
        "return in the loop": (first_alone, "inside of a loop"),
        "loss before time": (loss_first, "(loss, seconds)"),
        "smallest loss so far": (smallest_so_far, "expected"),
        "one list for all": (one_list, "same list"),
        "last point alone": (last_point, "one point each"),
    },
}
