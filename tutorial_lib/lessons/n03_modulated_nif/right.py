"""Right answers to the exercises of notebook 03 in other styles than ours: they must pass."""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
import torch.nn.functional as F

from tutorial_lib.lessons.n03_modulated_nif import answers

# ------------------------------------------------------------------------------------------------ 03.1


def modulated_by_functional(layer, features, f_m, omega_0=30.0, sigma=10.0):
    frequency = torch.add(torch.full_like(f_m, omega_0), f_m, alpha=sigma)
    return torch.mul(F.linear(features, layer.weight, layer.bias), frequency).sin()


def modulated_by_loops(layer, features, f_m, omega_0=30.0, sigma=10.0):
    z, frequency = layer(features), omega_0 + sigma * f_m[..., 0]
    return torch.stack([torch.sin(frequency * z[..., k]) for k in range(z.shape[-1])], dim=-1)


def modulated_in_two_parts(layer, features, f_m, omega_0=30.0, sigma=10.0):
    z = features @ layer.weight.T + layer.bias
    a, b = omega_0 * z, sigma * f_m * z
    return a.sin() * b.cos() + a.cos() * b.sin()


# ------------------------------------------------------------------------------------------------ 03.2


def bpp_by_loops(genesis, modulation, frequencies, height, width, bits_per_weight):
    weights = 0
    for widths, count, outputs in ((genesis, frequencies[0], 3), (modulation, frequencies[1], 1)):
        if len(widths) == 0:
            continue
        inputs = 2 + 4 * count
        for width_of_layer in list(widths) + [outputs]:
            weights += inputs * width_of_layer + width_of_layer
            inputs = width_of_layer
    return weights * bits_per_weight / height / width


def bpp_by_numpy(genesis, modulation, frequencies, height, width, bits_per_weight):
    def count(sizes):
        sizes = np.array(sizes)
        return np.dot(sizes[:-1] + 1, sizes[1:])

    total = count([2 + 4 * frequencies[0], *genesis, 3])
    if len(modulation) > 0:
        total = total + count([2 + 4 * frequencies[1], *modulation, 1])
    return total * np.float64(bits_per_weight) / (height * width)


def bpp_of_real_layers(genesis, modulation, frequencies, height, width, bits_per_weight):
    sizes = [(2 + 4 * frequencies[0], *genesis, 3)] + [(2 + 4 * frequencies[1], *modulation, 1)] * bool(modulation)
    layers = [torch.nn.Linear(n, m, device="meta") for each in sizes for n, m in zip(each, each[1:], strict=False)]
    return bits_per_weight * sum(p.numel() for layer in layers for p in layer.parameters()) / (height * width)


# ------------------------------------------------------------------------------------------------ 03.3


class Network(answers.Nif):
    """What the notebook gives, whatever the participant writes below."""

    @property
    def count(self):
        return self.inputs[0]


class Indexed(Network):
    def modulation_map(self, features):
        return self.modulation(features[..., self.count :]).reshape(*features.shape[:-1], 1)

    def colours(self, features):
        f_m, y = self.modulation_map(features), features[..., : self.count]
        for index in range(len(self.genesis) - 1):
            y = modulated_by_functional(self.genesis[index], y, f_m)
        return 0.5 * self.genesis[len(self.genesis) - 1](y) + 0.5


class Unpacked(Network):
    def modulation_map(self, features):
        _, rest = features.split([self.count, features.shape[-1] - self.count], dim=-1)
        for layer in self.modulation:
            rest = layer(rest)
        return rest

    def colours(self, features):
        *hidden, last = self.genesis
        y = torch.narrow(features, -1, 0, self.count)
        for layer in hidden:
            y = torch.sin((30 + 10 * self.modulation_map(features)) * F.linear(y, layer.weight, layer.bias))
        return torch.add(last(y), 1).div(2)


class Recursive(Network):
    def modulation_map(self, features):
        return self.modulation.forward(features[..., torch.arange(self.count, features.shape[-1], device=features.device)])

    def colours(self, features):
        f_m = self.modulation_map(features)

        def through(number):
            y = features[..., : self.count] if number == 0 else through(number - 1)
            return answers.modulated(self.genesis[number], y, f_m)

        y = self.genesis[-1](through(len(self.genesis) - 2)).clone()
        y += 1
        return y * 0.5


# ------------------------------------------------------------------------------------------------ 03.4


def schedule_by_numpy(t, period, warm_up, floor):
    at = np.mod(t, period)
    return floor + (1 - floor) * np.where(at < warm_up, at / (warm_up - 1), 1 - at / period).item()


def schedule_by_counting(t, period, warm_up, floor):
    while t >= period:
        t -= period
    if t < warm_up:
        f = t / (warm_up - 1)
    else:
        f = (period - t) / period
    return (1 - f) * floor + f


def schedule_as_a_table(t, period, warm_up, floor):
    table = torch.cat([torch.linspace(0, 1, warm_up), 1 - torch.arange(warm_up, period) / period])
    return torch.lerp(torch.tensor(floor), torch.tensor(1.0), table[t % period]).item()


def disturbed_by_where(weight, fraction, strength):
    c = strength * weight.abs().mean().item() / fraction
    noise = torch.empty_like(weight).uniform_(-c, c)
    return torch.where(torch.rand(weight.shape, device=weight.device) < fraction, weight + noise, weight)


def disturbed_by_choice(weight, fraction, strength):
    result = weight.clone()
    chosen = torch.randperm(weight.numel(), device=weight.device)[: round(fraction * weight.numel())]
    c = strength * weight.abs().mean() / fraction
    result.view(-1)[chosen] += c * (2 * torch.rand(len(chosen), device=weight.device) - 1)
    return result


def disturbed_by_numpy(weight, fraction, strength):
    values = weight.detach().cpu().double().numpy()
    random = np.random.default_rng(int(torch.randint(2**31, ())))
    bound = strength * np.abs(values).mean() / fraction
    values = values + random.binomial(1, fraction, values.shape) * random.uniform(-bound, bound, values.shape)
    return torch.from_numpy(values).to(weight)


# ------------------------------------------------------------------------------------------------ 03.5


def race_with_a_break(start, optimizers, loss, seconds, clock=time.perf_counter):
    curves = {name: [] for name in optimizers}
    for name in optimizers:
        network = copy.deepcopy(start)
        optimizer = optimizers[name](list(network.parameters()))
        begun = clock()
        while True:
            elapsed = clock() - begun
            if elapsed >= seconds:
                break
            network.zero_grad()
            value = loss(network)
            value.backward()
            curves[name].append((elapsed, value.detach().item()))
            optimizer.step()
    return curves


def race_of_a_state(start, optimizers, loss, seconds, clock=time.perf_counter):
    state = copy.deepcopy(start.state_dict())
    curves = {}
    for name, make in optimizers.items():
        network = copy.deepcopy(start)
        network.load_state_dict(state)
        optimizer, begun, points = make(network.parameters()), clock(), []
        while (now := clock() - begun) < seconds:
            optimizer.zero_grad(set_to_none=False)
            (error := loss(network)).backward()
            points += [[now, error.item()]]
            optimizer.step()
        curves[name] = points
    return curves


def race_by_runners(start, optimizers, loss, seconds, clock=time.perf_counter):
    def run(network, optimizer, begun):
        time_left = True
        while time_left:
            elapsed = clock() - begun
            time_left = elapsed < seconds
            if time_left:
                error = loss(network)
                yield elapsed, np.float64(error.item())
                optimizer.zero_grad()
                error.backward()
                optimizer.step()

    networks = {name: copy.deepcopy(start) for name in optimizers}
    return {name: list(run(networks[name], make(networks[name].parameters()), clock())) for name, make in optimizers.items()}


RIGHT = {
    "03.1": {
        "functional": modulated_by_functional,
        "output by output": modulated_by_loops,
        "two sines": modulated_in_two_parts,
    },
    "03.2": {"loops": bpp_by_loops, "NumPy": bpp_by_numpy, "real layers": bpp_of_real_layers},
    "03.3": {"by index": Indexed, "layers unpacked": Unpacked, "recursive": Recursive},
    "03.4a": {"NumPy": schedule_by_numpy, "counting": schedule_by_counting, "table": schedule_as_a_table},
    "03.4b": {"torch.where": disturbed_by_where, "random choice": disturbed_by_choice, "NumPy": disturbed_by_numpy},
    "03.5": {"a break": race_with_a_break, "a state": race_of_a_state, "runners": race_by_runners},
}
