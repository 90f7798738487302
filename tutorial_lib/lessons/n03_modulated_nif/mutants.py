"""Wrong answers to the exercises of notebook 03 that people really write."""

from __future__ import annotations

import itertools

import torch

from tutorial_lib.lessons.n03_modulated_nif import answers, mutants_steps

# ------------------------------------------------------------------------------------------------ 03.1


def sigma_missing(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((omega_0 + f_m) * layer(features))


def phase(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin(omega_0 * layer(features) + sigma * f_m)


def amplitude(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return (1 + sigma * f_m) * torch.sin(omega_0 * layer(features))


def product(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin(omega_0 * sigma * f_m * layer(features))


def bias_outside(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((omega_0 + sigma * f_m) * (features @ layer.weight.T) + layer.bias)


def constants(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((30 + 10 * f_m) * layer(features))


def map_detached(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((omega_0 + sigma * f_m.detach()) * layer(features))


def map_clamped(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((omega_0 + sigma * f_m.clamp(-1, 1)) * layer(features))


def swapped_constants(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((sigma + omega_0 * f_m) * layer(features))


def relative(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin(omega_0 * (1 + sigma * f_m) * layer(features))


def slower(layer, features, f_m, omega_0=30.0, sigma=10.0):
    return torch.sin((omega_0 - sigma * f_m) * layer(features))


# ------------------------------------------------------------------------------------------------ 03.2


def bits(genesis, modulation, frequencies, height, width, bits_per_weight, *, bias=True, last=True, inputs=None, both=True):
    total = 0
    networks = [(genesis, frequencies[0], 3)]
    if modulation and both:
        networks.append((modulation, frequencies[1], 1))
    for widths, count, outputs in networks:
        sizes = [inputs or 2 + 4 * count, *widths]
        if last:
            sizes.append(outputs)
        for i in range(len(sizes) - 1):
            total += sizes[i] * sizes[i + 1] + (sizes[i + 1] if bias else 0)
    return bits_per_weight * total / (height * width)


def no_biases(*arguments):
    return bits(*arguments, bias=False)


def genesis_alone(*arguments):
    return bits(*arguments, both=False)


def no_last_layer(*arguments):
    return bits(*arguments, last=False)


def two_inputs(*arguments):
    return bits(*arguments, inputs=2)


def in_bytes(*arguments):
    return bits(*arguments) / 8


def empty_counted(genesis, modulation, frequencies, height, width, bits_per_weight):
    extra = 0 if modulation else (2 + 4 * frequencies[1] + 1) * bits_per_weight / (height * width)
    return bits(genesis, modulation, frequencies, height, width, bits_per_weight) + extra


def frequencies_swapped(genesis, modulation, frequencies, *rest):
    return bits(genesis, modulation, frequencies[::-1], *rest)


def in_a_row(genesis, modulation, frequencies, height, width, bits_per_weight, *, ends=(3, 1), of=lambda n, m: (n + 1) * m):
    chains = [[2 + 4 * frequencies[0], *genesis, ends[0]]]
    chains += [[2 + 4 * frequencies[1], *modulation, ends[1]]] if modulation else []
    return bits_per_weight * sum(of(n, m) for chain in chains for n, m in itertools.pairwise(chain)) / (height * width)


def three_outputs(*arguments):
    return in_a_row(*arguments, ends=(3, 3))


def biases_of_inputs(*arguments):
    return in_a_row(*arguments, of=lambda n, m: n * (m + 1))


# ------------------------------------------------------------------------------------------------ 03.3


class Network(answers.Nif):
    """A right answer as a participant would write it, to be spoilt."""

    def modulation_map(self, features):
        return self.modulation(features[..., self.inputs[0] :])

    def colours(self, features):
        f_m = self.modulation_map(features)
        y = features[..., : self.inputs[0]]
        for layer in self.genesis[:-1]:
            y = answers.modulated(layer, y, f_m)
        return (self.genesis[-1](y) + 1) / 2


class RangeForgotten(Network):
    def colours(self, features):
        return 2 * super().colours(features) - 1


class FirstLayerAlone(Network):
    def colours(self, features):
        f_m = self.modulation_map(features)
        y = answers.modulated(self.genesis[0], features[..., : self.inputs[0]], f_m)
        for layer in self.genesis[1:-1]:
            y = answers.modulated(layer, y, 0 * f_m)
        return (self.genesis[-1](y) + 1) / 2


class LastModulated(Network):
    def colours(self, features):
        f_m = self.modulation_map(features)
        y = features[..., : self.inputs[0]]
        for layer in self.genesis:
            y = answers.modulated(layer, y, f_m)
        return (y + 1) / 2


class AllFeatures(Network):
    def modulation_map(self, features):
        return self.modulation(features)


class SigmaTwice(Network):
    def modulation_map(self, features):
        return 10 * super().modulation_map(features)


class MapWithoutGradient(Network):
    @torch.no_grad()
    def modulation_map(self, features):
        return super().modulation_map(features)


class MapDetached(Network):
    def colours(self, features):
        f_m = self.modulation_map(features).detach()
        y = features[..., : self.inputs[0]]
        for layer in self.genesis[:-1]:
            y = answers.modulated(layer, y, f_m)
        return (self.genesis[-1](y) + 1) / 2


class Clamped(Network):
    def colours(self, features):
        return super().colours(features).clamp(0, 1)


class MapClamped(Network):
    def colours(self, features):
        f_m = self.modulation_map(features).clamp(-1, 1)
        y = features[..., : self.inputs[0]]
        for layer in self.genesis[:-1]:
            y = answers.modulated(layer, y, f_m)
        return (self.genesis[-1](y) + 1) / 2


class FeaturesDetached(Network):
    def colours(self, features):
        return super().colours(features.detach())


class OwnMap(Network):
    def colours(self, features):
        f_m = self.modulation(features[..., self.inputs[0] :])
        y = features[..., : self.inputs[0]]
        for layer in self.genesis[:-1]:
            y = answers.modulated(layer, y, f_m)
        return (self.genesis[-1](y) + 1) / 2


MUTANTS = {
    "03.1": {
        "σ missing": (sigma_missing, "without σ"),
        "modulation of the phase": (phase, "shifts the wave"),
        "modulation of the height": (amplitude, "outside the sine"),
        "product for sum": (product, "are multiplied"),
        "bias outside the brackets": (bias_outside, "bias is outside"),
        "map detached": (map_detached, "f_m is detached"),
        "map clamped": (map_clamped, "f_m is cut off"),
        "30 and 10 written in": (constants, "use the arguments"),
        "ω₀ and σ swapped": (swapped_constants, "are swapped"),
        "ω₀(1 + σ f)": (relative, "as well"),
        "minus": (slower, "taken off"),
    },
    "03.2": {
        "biases not counted": (no_biases, "biases are not counted"),
        "modulation network not counted": (genesis_alone, "modulation network is not counted"),
        "last layers not counted": (no_last_layer, "last layers are not counted"),
        "two inputs": (two_inputs, "with 2 inputs"),
        "bytes for bits": (in_bytes, "bytes instead of bits"),
        "empty modulation network counted": (empty_counted, "no modulation network at all"),
        "frequencies swapped": (frequencies_swapped, "frequencies are swapped"),
        "three outputs twice": (three_outputs, "with three outputs"),
        "four hidden layers at most": (lambda genesis, *rest: bits(genesis[:4], *rest), "expected"),
        "a bias for each input": (biases_of_inputs, "(m + 1)·n"),
    },
    "03.3": {
        "colours from −1 to 1": (RangeForgotten, "still in [−1, 1]"),
        "first layer alone": (FirstLayerAlone, "first layer alone"),
        "last layer modulated": (LastModulated, "last layer has a modulated sine"),
        "all features to the modulation network": (AllFeatures, "wrong numbers"),
        "σ twice": (SigmaTwice, "count twice"),
        "map without gradient": (MapWithoutGradient, "no gradient"),
        "map detached": (MapDetached, "one of the two networks gets no gradient"),
        "clamped": (Clamped, "colours are clamped"),
        "map clamped": (MapClamped, "expected"),
        "features detached": (FeaturesDetached, "none to x and y"),
        "map computed twice": (OwnMap, "by itself"),
    },
    **mutants_steps.MUTANTS,
}
