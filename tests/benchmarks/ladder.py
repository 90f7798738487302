"""Four networks of about as many weights on one picture, one recipe, three seeds: what the sine gains, and what the encoding.

    python tests/benchmarks/ladder.py                 # some five minutes on one core

The networks of notebook 02, with the library's answers: ReLU and SIREN, each on (x, y) with a width of 64 (8,707 weights) and on
the positional encoding with L = 8 and a width of 56 (8,515). The cup of coffee at 150×100, 300 steps of Adam at 2·10⁻³ on all
pixels, the best state of each fit. Measured on 2026-11-26, one thread of a Xeon, seeds 0 to 2, in dB:

    ReLU on (x, y)   17.7  17.4  18.1
    ReLU, encoded    24.1  24.4  25.0
    SIREN on (x, y)  31.8  31.8  31.4
    SIREN, encoded   32.1  31.8  31.8

And COIN's network of five layers of 20, fitted as the notebook does (600 steps of SOAP in one cycle up to 8·10⁻³) and rounded to
float16, at 1.92 bits per pixel: 29.3, 29.4 and 28.9 dB, where JPEG has 29.3.
"""

from __future__ import annotations

import copy

import torch
from pytorch_optimizer import SOAP
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.lessons.n02_siren.answers import ReluNetwork, Siren, encode, fit, render


def coin(picture: Tensor, seed: int, steps: int = 600, rate: float = 8e-3) -> float:
    """PSNR of notebook 02's COIN network after rounding to float16."""
    torch.manual_seed(seed)
    network, size = Siren(width=20, sine_layers=5, frequencies=0), tuple(picture.shape[1:])
    soap = SOAP(network.parameters(), lr=rate, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=5)
    cycle = torch.optim.lr_scheduler.OneCycleLR(soap, rate, steps + 1, cycle_momentum=False)
    soap.register_step_post_hook(lambda *_: cycle.step())
    fit(network, images.canvas(*size), picture.movedim(0, -1), soap, steps)
    return metrics.psnr(render(copy.deepcopy(network).half().float(), *size, size), picture)


def main() -> None:
    torch.set_num_threads(1)
    coffee = images.reduce(images.sample("coffee"), factor=4)
    coordinates, colours = images.canvas(*coffee.shape[1:]), coffee.movedim(0, -1)
    encoded = encode(coordinates, 8)
    rungs = {
        "ReLU on (x, y)": (lambda: ReluNetwork(), coordinates),
        "ReLU, encoded": (lambda: ReluNetwork(encoded.shape[-1], width=56), encoded),
        "SIREN on (x, y)": (lambda: Siren(frequencies=0), coordinates),
        "SIREN, encoded": (lambda: Siren(width=56), coordinates),
    }
    for name, (make, inputs) in rungs.items():
        found = []
        for seed in range(3):
            torch.manual_seed(seed)
            network = make()
            fit(network, inputs, colours, torch.optim.Adam(network.parameters(), lr=2e-3), 300)
            with torch.no_grad():
                found.append(metrics.psnr(network(inputs).movedim(-1, 0).clamp(0, 1), coffee))
        weights = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}, {weights:,} weights: " + "  ".join(f"{each:.1f}" for each in found) + " dB", flush=True)
    print("COIN, float16: " + "  ".join(f"{coin(coffee, seed):.1f}" for seed in range(3)) + " dB")


if __name__ == "__main__":
    main()
