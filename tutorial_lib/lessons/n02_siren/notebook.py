# %% [markdown]
# # 02 · SIREN and positional encoding
#
# A network that learns one picture by heart is an encoder. But the network that everybody tries first learns only
# fog. This notebook finds out why, cures it in two ways, and weighs the result in bits.
#
# | | |
# |---|---|
# | **You will** | build and fit a plain network, see what it can't learn, turn it into a SIREN, and meet JPEG's curve |
# | **Time** | 50 minutes, 36 of them for eight exercises |
# | **In a three-hour workshop** | 35 minutes: 02.0a, 02.0b, 02.1, 02.2, 02.3 and 02.6; pass over what "may be skipped" |
# | **You need** | a little PyTorch (`nn.Module`, an optimizer); no earlier notebook, nothing to download |

# %%
import copy
import math

import numpy as np
import torch
from torch import nn

from tutorial_lib import codecs, course, images, metrics, plots, widgets
from tutorial_lib.course import budget_value, drawing, exercise, hint, label, points, progress, record_point, solution
from tutorial_lib.lessons.n02_siren import figures
from tutorial_lib.networks import siren
from tutorial_lib.runtime import choose_device

torch.set_num_threads(1)  # networks as small as these gain nothing from more

# %% [markdown]
# ## The first idea that comes to mind
#
# A picture is a function from a place (x, y) to a colour (R, G, B). So take a plain network, give it the place,
# and train it until the colours are right. Here is our picture, 150 × 100 pixels of coffee.

# %%
coffee = images.reduce(images.sample("coffee"), factor=4).to(choose_device())
height, width = coffee.shape[1:]
coordinates = images.canvas(height, width, device=coffee.device)  # (100, 150, 2): x and y
colours = coffee.movedim(0, -1)  # (100, 150, 3): red, green, blue

plots.pictures([coffee], ["the picture to learn"], zoom=3, alt="a cup of coffee with a spoon")

# %% [markdown]
# A *neuron* of such a network adds up what it gets, each number times a weight, plus a bias. Then it bends the sum
# with the *ReLU*: what is below 0 becomes 0. On (x, y), one neuron paints half a ramp:

# %%
figures.folded_plane()

# %% [markdown]
# A *layer* is many of them side by side, and the next layer adds up what they paint. Three such layers of 64 neurons,
# and a last one, without ReLU, that adds up the three colours: build it.
#
# ### 02.0a A plain network (4 min)
#
# `nn.Linear(n, m)` is a layer of m neurons on n numbers, without the bend; `nn.ReLU()` is the bend;
# `nn.Sequential(first, second, …)` sends numbers through one after the other.

# %%
@exercise("02.0a")
class ReluNetwork(nn.Module):
    """Numbers (…, inputs) to numbers (…, outputs)."""

    def __init__(self, inputs=2, width=64, outputs=3):
        super().__init__()
        # Set self.layers: three times a linear layer of `width` neurons and a ReLU.
        # Then a linear layer of `outputs` neurons.
        ### BEGIN SOLUTION
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, outputs),
        )
        ### END SOLUTION

    def forward(self, features):
        # Send the features through the layers.
        ### BEGIN SOLUTION
        return self.layers(features)
        ### END SOLUTION

# %%
hint("02.0a")

# %% tags=["nbval-check-output"]
def weights_of(network):
    return sum(parameter.numel() for parameter in network.parameters())


print(f"{weights_of(ReluNetwork()):,} weights")

# %% [markdown]
# Now it has to learn. A fit repeats one step: paint all pixels, measure how wrong they are (the mean of the squared
# differences is the *loss*), find out for each weight in which direction the loss falls, and let an *optimizer* move
# each weight a little that way. PyTorch has a line for each of these.
#
# ### 02.0b A loop that fits it (5 min)

# %%
@exercise("02.0b")
def fit(network, coordinates, colours, optimizer, steps):
    """Fit in place; returns the loss before each step, a list of plain numbers."""
    losses = []
    for _ in range(steps):
        # 1. The loss is the mean of (network's colours − colours)², over all pixels and colours.
        # 2. Note it as a plain number, loss.item(), in losses.
        # 3. Old slopes to zero, new ones by loss.backward(), one step of the optimizer.
        ### BEGIN SOLUTION
        loss = ((network(coordinates) - colours) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ### END SOLUTION
    return losses

# %%
hint("02.0b")

# %% [markdown]
# **Before you run the next cell: what will your network paint after 30 steps? After 300?**

# %%
steps = budget_value(quick=12, laptop=300, gpu=1000)
moments = (steps // 10, steps // 3, steps)


def paint(network, inputs):
    with torch.no_grad():
        return network(inputs).movedim(-1, 0).clamp(0, 1)


def title(name, picture):
    return f"{name}: {metrics.psnr(picture, coffee):.1f} dB"


torch.manual_seed(0)
plain = ReluNetwork().to(coffee.device)
adam = torch.optim.Adam(plain.parameters(), lr=2e-3)
fog, done = [], 0
for moment in moments:
    fit(plain, coordinates, colours, adam, moment - done)
    fog.append(paint(plain, coordinates))
    done = moment

whose = label(ReluNetwork, fit)
titles = [title(f"after {step} steps ({whose})", frame) for step, frame in zip(moments, fog, strict=True)]
plots.pictures(fog, titles, zoom=1.8, alt="what a ReLU network on (x, y) paints")

# %% [markdown]
# Fog. The network is not too small: it has some 8,700 weights, and you will soon get a sharp picture from as many.
# Nor is it unlucky. It learns the slow changes of the picture, and hardly anything else.
#
# ### What exactly is missing?
#
# Let us ask with a signal that we know: a sum of six waves, all of the same height. The slowest goes up and down
# once from x = −1 to x = 1, the fastest 32 times. **Which of them will the network learn, and in what order?**

# %%
race_steps = budget_value(quick=60, laptop=800, gpu=800)
torch.manual_seed(0)
on_xy = figures.learned_waves(ReluNetwork(outputs=1), fit, lambda xy: xy, race_steps)
figures.waves_figure({f"ReLU network on (x, y) ({whose})": on_xy})

# %% [markdown]
# One by one, the slow waves first; the fast ones have hardly begun. This is the *spectral bias* of neural networks
# (Rahaman et al., 2019, [arXiv 1806.08734](https://arxiv.org/abs/1806.08734)). Edges and texture are fast waves.

# %% [markdown]
# ## Cure one: hand it the waves
#
# If fast waves are hard to make, make them beforehand. Instead of x alone, the network gets waves along x, slow
# and fast, and has to combine them. Here are a few of the numbers that it will get at each pixel, orange for −1
# and blue for 1:

# %%
waves = siren.PositionalEncoding(8)(coordinates.cpu())  # the library's; yours comes next
shown = {"x": 0, "sin πx": 2, "sin π1.4³x": 5, "sin π1.4⁷x": 9, "cos π1.4⁷y": 33}
maps = [drawing.signed(waves[..., index], reach=1) for index in shown.values()]
plots.pictures(maps, list(shown), alt="one feature of each pixel, as a map")

# %% [markdown]
# This is a *positional encoding*. For a coordinate $x$ (and the same for $y$), with $L$ frequencies:
#
# $$\gamma(x) = \bigl(x,\; \sin(p_0 x), \dots, \sin(p_{L-1} x),\; \cos(p_0 x), \dots, \cos(p_{L-1} x)\bigr)$$
#
# $$p_i = \pi \cdot 1.4^{\,i}$$
#
# - $L$ is how many frequencies there are. We choose it.
# - $p_i$ is the $i$-th frequency, $i = 0 \dots L-1$. Since x goes from −1 to 1, the wave $\sin(p_i x)$ goes up and
#   down $1.4^i$ times across the picture.
# - Sine *and* cosine, so that the network can build a wave with its crest anywhere.
#
# NeRF doubles the frequency each time (Mildenhall et al., 2020, [arXiv 2003.08934](https://arxiv.org/abs/2003.08934));
# the factor 1.4 is finer and comes from Strümpler et al. (2022, [arXiv 2112.04267](https://arxiv.org/abs/2112.04267)).
#
# ### 02.1 Positional encoding (5 min)
#
# The order of the numbers: x and y; the sines of x, then the sines of y; the cosines of x, then those of y. With L = 0, x and
# y are all there is.

# %%
@exercise("02.1")
def encode(coordinates, frequencies):
    """Coordinates (…, 2), order (x, y), to features (…, 2 + 4·frequencies)."""
    # 1. All frequencies π · 1.4^i, i = 0 … frequencies − 1, in a tensor on coordinates.device.
    # 2. Multiply every coordinate with every frequency: shape (…, 2, L).
    #    Then flatten the last two axes.
    # 3. Put the coordinates, the sines and the cosines side by side.
    ### BEGIN SOLUTION
    periods = math.pi * 1.4 ** torch.arange(frequencies, device=coordinates.device)
    angles = (coordinates.unsqueeze(-1) * periods).flatten(-2)
    return torch.cat([coordinates, angles.sin(), angles.cos()], dim=-1)
    ### END SOLUTION

# %%
hint("02.1")

# %% tags=["nbval-check-output"]
print("from", tuple(coordinates.shape), "to", tuple(encode(coordinates, 8).shape))

# %% [markdown]
# Your ReLU network and your loop once more; only the input is encoded now, with L = 8. **What will the race of the six
# waves look like? And the picture?**

# %%
features = 2 + 4 * 8
torch.manual_seed(0)
encoded = figures.learned_waves(ReluNetwork(features, outputs=1), fit, lambda xy: encode(xy, 8), race_steps)
figures.waves_figure({"on (x, y)": on_xy, f"encoded, L = 8 ({label(encode)})": encoded})

# %%
torch.manual_seed(0)
with_encoding = ReluNetwork(features, width=56).to(coffee.device)
fit(with_encoding, encode(coordinates, 8), colours, torch.optim.Adam(with_encoding.parameters(), lr=2e-3), steps)
sharper = paint(with_encoding, encode(coordinates, 8))

names = title("(x, y)", fog[-1]), title(f"encoded ({label(encode)})", sharper)
widgets.swipe(fog[-1], sharper, names, alt="a cup of coffee painted by a ReLU network", zoom=4)

# %% [markdown]
# Move the edge. The network is as before, a little narrower even, so that it has no more weights (56 neurons a layer,
# 8,515 weights against 8,707). What it is given has changed. Tancik et al. (2020,
# [arXiv 2006.10739](https://arxiv.org/abs/2006.10739)) explain why: the encoding decides which waves a network finds
# easy.

# %% [markdown]
# ## Cure two: a network made of waves
#
# Why stop at the input? SIREN (Sitzmann et al., 2020, [arXiv 2006.09661](https://arxiv.org/abs/2006.09661)) throws
# out the ReLU and takes the sine as activation, in every layer. Here is what a single such neuron paints on the
# canvas, for three values of a number called $\omega_0$. **What does $\omega_0$ do?**

# %%
x, y = images.canvas(height, width).unbind(-1)
omegas = (5, 30, 90)
neurons = [torch.sin(omega * (0.4 * x + 0.3 * y + 0.1)) for omega in omegas]
maps = [drawing.signed(neuron, reach=1) for neuron in neurons]
plots.pictures(maps, [f"ω₀ = {omega}" for omega in omegas], zoom=1.8, alt="one sine neuron")

# %% [markdown]
# One sine layer computes, from a vector $h$ of $n$ numbers (x and y, their encoding, or what the layer before gave),
#
# $$\sin\bigl(\omega_0 \cdot (W h + b)\bigr)$$
#
# with weights $W$, biases $b$, and the fixed number $\omega_0$, 30 by default: how fast the waves of a fresh
# layer are.
#
# A sine is a delicate activation. Feed it numbers near 0, and it is just a line; feed it large ones, and it
# tumbles through many periods. So the *start* matters. SIREN draws weights uniformly from $-c$ to $c$:
#
# $$c = \frac{1}{n} \text{ in the first layer}, \qquad c = \frac{\sqrt{6/n}}{\omega_0} \text{ in all others}$$
#
# so that what enters the sines keeps a spread of about 1, however many layers there are (section 3.2 of the paper; the first
# layer has more, on purpose). Biases keep PyTorch's
# own start here.
#
# ### 02.2 The sine layer and its start (6 min)

# %%
@exercise("02.2")
class SineLayer(nn.Linear):
    """y = sin(ω₀·(W·h + b)): (…, inputs) to (…, outputs)."""

    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs)  # makes self.weight and self.bias
        self.omega_0 = omega_0
        # Compute the bound c, then draw self.weight uniformly between −c and c.
        # (torch.nn.init has a function for that.)
        ### BEGIN SOLUTION
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
        nn.init.uniform_(self.weight, -bound, bound)
        ### END SOLUTION

    def forward(self, features):
        # super().forward(features) is W·h + b.
        ### BEGIN SOLUTION
        return torch.sin(self.omega_0 * super().forward(features))
        ### END SOLUTION

# %%
hint("02.2")

# %% [markdown]
# Is the rule worth the trouble? Take six layers on top of each other, not trained at all, and look at what goes
# into each sine. Then do it again with a third of the weights, and with PyTorch's own start, which is
# $\omega_0/\sqrt 6 \approx 12$ times as wide. **What will layer 6 paint in each case?**

# %%
def stack(scale):
    torch.manual_seed(0)  # the same draw each time, so that the scale alone differs
    layers = [SineLayer(2, 128, first=True), *(SineLayer(128, 128) for _ in range(5))]
    for layer in layers[1:]:
        layer.weight.data *= scale
    return nn.Sequential(*layers)


starts = {
    "SIREN's start": stack(1),
    "a third of it": stack(1 / 3),
    "12 times\n(PyTorch's)": stack(30 / math.sqrt(6)),
}
figures.depth_figure(starts, owner=label(SineLayer))

# %% [markdown]
# Each histogram shows how far a neuron's input moves over the picture; the number is the standard deviation. The
# first layer is the same in all rows: it makes the fast waves, on purpose.
#
# - **SIREN's start:** the spread falls a little from layer to layer, from 1 to one half, and layer 6 still paints something with
#   structure, as layer 2 did.
# - **A third:** the signal dies on its way. Layer 6 paints one flat colour, and gradients die in the same way.
# - **Twelve times:** each layer folds the waves of the last one many times over. What is left is noise.

# %% [markdown]
# ## SIREN
#
# Take your ReLU network, and change three things: each linear layer with its ReLU becomes a sine layer; the last layer,
# which stays linear, gets the start of the hidden ones; and the coordinates may be encoded in front. (SIREN itself takes
# the bare (x, y), which is our L = 0. The image codecs of this course use both cures at once, as Strümpler et al. do.)
#
# ### 02.3 SIREN (4 min)
#
# `siren.initialize(layer, omega_0)` draws the weights of an `nn.Linear` as those of the hidden layers.

# %%
@exercise("02.3")
class Siren(nn.Module):
    """Coordinates (…, 2) to colours (…, 3): an encoding, sine layers, a linear layer."""

    def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
        super().__init__()
        self.frequencies = frequencies
        # Set self.layers: `sine_layers` sine layers of `width` neurons, all with omega_0 and the
        # first with first=True; then the linear layer to 3 colours.
        # nn.Sequential(*layers) chains a list of layers.
        ### BEGIN SOLUTION
        layers = [SineLayer(2 + 4 * frequencies, width, omega_0, first=True)]
        layers += [SineLayer(width, width, omega_0) for _ in range(sine_layers - 1)]
        last = nn.Linear(width, 3)
        siren.initialize(last, omega_0)
        self.layers = nn.Sequential(*layers, last)
        ### END SOLUTION

    def forward(self, coordinates):
        # Encode the coordinates, then send them through the layers.
        ### BEGIN SOLUTION
        return self.layers(encode(coordinates, self.frequencies))
        ### END SOLUTION

# %%
hint("02.3")

# %% tags=["nbval-check-output"]
print(f"L = 0, 64 neurons a layer: {weights_of(Siren(frequencies=0)):,} weights")
print(f"L = 8, 56 neurons a layer: {weights_of(Siren(width=56)):,} weights")

# %% [markdown]
# Exactly as many as the two ReLU networks. So they can be compared.

# %% [markdown]
# ## A loop with a memory
#
# Your loop does not care what it fits. **At which step will the loss be smallest: at the last one?** (About six seconds.)

# %%
torch.manual_seed(0)
jumpy = Siren(width=56).to(coffee.device)
losses = fit(jumpy, coordinates, colours, torch.optim.Adam(jumpy.parameters(), lr=2e-3), steps)
figures.best_and_last(losses, label(Siren, fit))

# %% [markdown]
# Perhaps, perhaps not: it jumps, and nobody knows when. On the right, what you lose if you stop at that very step. So a
# good loop remembers the best weights that it has seen, and hands those over. Two traps wait there. Think before you
# code:
#
# 1. `network.state_dict()` does not hold copies. **What will it hold ten steps later?**
# 2. The loss of a step was computed *before* the weights moved. **Which weights belong to it?**
#
# ### 02.4 A loop that keeps the best state (5 min, may be skipped)
#
# Begin with your loop of 02.0b, copied, and add a few lines.

# %%
@exercise("02.4")
def fit(network, coordinates, colours, optimizer, steps):
    """Fit in place, end in the best state seen; returns the loss before each step."""
    losses, best_loss, best_state = [], float("inf"), None
    for _ in range(steps):
        # A step as in 02.0b. But if its loss is the smallest so far, keep that loss in best_loss,
        # and in best_state a copy of the weights that gave it.
        ### BEGIN SOLUTION
        loss = ((network(coordinates) - colours) ** 2).mean()
        losses.append(loss.item())
        if loss.item() < best_loss:
            best_loss = loss.item()
            best_state = copy.deepcopy(network.state_dict())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ### END SOLUTION
    network.load_state_dict(best_state)
    return losses

# %%
hint("02.4")

# %% [markdown]
# And now the coffee: four networks of about as many weights, one recipe, 300 steps each. (About 25 seconds.)
#
# **The fog had 18 dB, the encoded ReLU network 24. Where will a SIREN on the bare (x, y) stand? And one that is encoded, too?**

# %%
rungs = {
    "ReLU on (x, y)": (lambda: ReluNetwork(), coordinates),
    "ReLU, encoded": (lambda: ReluNetwork(features, width=56), encode(coordinates, 8)),
    "SIREN on (x, y)": (lambda: Siren(frequencies=0), coordinates),
    "SIREN, encoded": (lambda: Siren(width=56), coordinates),
}
networks, ladder = {}, {}
for name, (make, inputs) in rungs.items():
    torch.manual_seed(0)
    network = networks[name] = make().to(coffee.device)
    fit(network, inputs, colours, torch.optim.Adam(network.parameters(), lr=2e-3), steps)
    ladder[name] = paint(network, inputs), weights_of(network)

whose = label(ReluNetwork, Siren, fit, encode)
figures.ladder_figure(ladder, coffee, whose)

# %% [markdown]
# From fog to coffee, and nearly all of the way is the sine's: on bare coordinates it gains 14 dB. In front of a ReLU the
# encoding gains 6 to 7, in front of sines half a decibel at most. This is one seed; over three, the four end at 17.4 to 18.1,
# 24.1 to 25.0, 31.4 to 31.8 and 31.8 to 32.1 dB (`python tests/benchmarks/ladder.py`).

# %% [markdown]
# ## Ask between the pixels
#
# The network is a function: it has an answer at *every* (x, y). So the picture can be rendered at any size. The
# only question is where the new pixels are. Here, a side of 4 pixels is rendered at 8. **Which row of dots is
# right?**

# %%
figures.centres_figure(4, 8)

# %% [markdown]
# A pixel is a sample, taken in the middle of the small square that it stands for. Where a square is cut in two, the middles
# of the halves lie a quarter of a pixel left and right of the old one. With the corners at −1 and 1 at every size (upper
# row), the picture would shift and stretch a little. So, for a side of $W_0$ pixels rendered at $W$, with
# $\mathrm{px} = 0 \dots W-1$ the number of the new pixel:
#
# $$u = \left(\mathrm{px} + \tfrac12\right) \frac{W_0}{W} - \tfrac12, \qquad x = \frac{2u}{W_0 - 1} - 1$$
#
# $u$ is its place among the old pixels: 0 is the centre of the first of them, and $W_0 - 1$ of the last.
#
# ### 02.5 Rendering at any size (5 min, may be skipped)

# %%
@exercise("02.5")
@torch.no_grad()
def render(network, height, width, source):
    """The picture (3, height, width) in [0, 1] of a network fitted at the size source = (H₀, W₀)."""
    device = next(network.parameters()).device
    px, py = torch.arange(width, device=device), torch.arange(height, device=device)
    # 1. x from px, with width and source[1]; y from py, with height and source[0].
    # 2. A grid of shape (height, width, 2), the last axis in the order (x, y).
    # 3. Ask the network, move the colours to the front, clamp to [0, 1].
    ### BEGIN SOLUTION
    u = (px + 0.5) * source[1] / width - 0.5
    v = (py + 0.5) * source[0] / height - 0.5
    x, y = 2 * u / (source[1] - 1) - 1, 2 * v / (source[0] - 1) - 1
    y, x = torch.meshgrid(y, x, indexing="ij")
    return network(torch.stack([x, y], dim=-1)).movedim(-1, 0).clamp(0, 1)
    ### END SOLUTION

# %%
hint("02.5")

# %%
size, network = (height, width), networks["SIREN, encoded"]
large = render(network, 4 * height, 4 * width, size)
versions = {
    "original": images.sample("coffee"),
    "bicubic": images.resize(coffee, (4 * height, 4 * width)),
    f"network ({label(render)})": large,
}
rim = [images.crop(each, 10, 260, 150, 190).cpu() for each in versions.values()]
scores = [f"{metrics.psnr(each, versions['original']):.1f} dB" for each in versions.values()]
titles = ["original", *map(": ".join, zip([*versions][1:], scores[1:], strict=True))]
plots.pictures(rim, titles, zoom=1.5, method="bicubic", alt="the rim of the cup, 4 times as large")

# %% [markdown]
# Smooth at any size. But is it better than bicubic interpolation, which simply draws smooth curves through the pixels? By
# the numbers it isn't: the network draws smooth lines, and then ripples that nobody asked for. Rendering at any size is a
# property, not a miracle. (What decides about the ripples comes in a moment.)
#
# Four times is not the end. The next cell holds a file that comes with the course, a SIREN of a cat, and runs its network
# for each pixel of your screen. Click into it, then turn the wheel or press +, and drag; N and B set squares and bicubic
# beside it. **Fall into an eye. From which zoom on do you see nothing new?**

# %%
widgets.zoom(course.sample_file("chelsea.inr"), title="A cat as a function")

# %% [markdown]
# ### Its slopes, too
#
# A network can be differentiated, not only by its weights, but by x and y. That gives the slope of the picture
# (its *gradient*, large at edges) and the change of the slope (its *Laplacian*, $\partial^2/\partial x^2 +
# \partial^2/\partial y^2$), without comparing any two pixels.
#
# **And the plain ReLU network: what is the Laplacian of a function made of flat pieces? And that of the encoded one?**

# %%
def derivatives(network, coordinates):
    """Length of the gradient, and Laplacian, of the brightness at each coordinate."""
    coordinates = coordinates.clone().requires_grad_()
    brightness = network(coordinates).mean(dim=-1)
    # A brightness depends on its own coordinates alone: the sum's gradient holds all gradients.
    (gradient,) = torch.autograd.grad(brightness.sum(), coordinates, create_graph=True)
    laplacian = torch.zeros_like(brightness)
    for axis in (0, 1):
        slope = gradient[..., axis].sum()
        if slope.requires_grad:  # that of flat pieces is a constant
            (change,) = torch.autograd.grad(
                slope, coordinates, retain_graph=True, allow_unused=True
            )
            laplacian += 0 if change is None else change[..., axis]
    return gradient.detach().norm(dim=-1), laplacian.detach()


gradient, laplacian = derivatives(network, coordinates)
shown = [ladder["SIREN, encoded"][0], drawing.grey(gradient), drawing.signed(laplacian)]
titles = [f"the fit ({whose})", "its gradient", "its Laplacian, blue above 0"]
plots.pictures(shown, titles, zoom=1.8, alt="SIREN of a cup of coffee")

# %%
_, flat = derivatives(networks["ReLU on (x, y)"], coordinates)
_, curved = derivatives(lambda xy: networks["ReLU, encoded"](encode(xy, 8)), coordinates)
for name, each in {"ReLU on (x, y)": flat, "ReLU, encoded": curved, "SIREN, encoded": laplacian}.items():
    print(f"largest Laplacian of {name}: {each.abs().max().item():,.0f}")

# %% [markdown]
# Zero, everywhere: flat pieces have no curvature. Those of the encoded ReLU network are pieces of its waves, and bend with
# them. The derivative of a SIREN is made of sines and cosines throughout. That is what its authors wanted it for (section
# 3 of the paper): many laws of physics speak of derivatives.

# %% [markdown]
# ## Two knobs: ω₀ and L
#
# $\omega_0$ and $L$ both say how fast the waves may be. Is faster better? We fit a tiny picture of 75 × 50 pixels with
# 30 SIRENs, one for each pair (about 20 seconds), and then ask each of them for *twice* that size. Since the
# larger picture is known, we can score both: the pixels that were fitted, and those between them.
#
# **Predict: where on the plane of ω₀ and L is the best fit? Is it also best between the pixels?**

# %%
tiny = images.reduce(coffee, factor=2)  # 75 × 50 pixels
tiny_size, tiny_steps = tiny.shape[1:], budget_value(quick=4, laptop=150, gpu=500)
places, targets = images.canvas(*tiny_size, device=tiny.device), tiny.movedim(0, -1)
omegas, counts = (1, 5, 10, 30, 60, 120), (0, 3, 6, 9, 12)
fitted, doubled = {}, {}

for omega_0 in omegas:
    for frequencies in counts:
        torch.manual_seed(0)
        small = Siren(width=48, frequencies=frequencies, omega_0=omega_0).to(tiny.device)
        fit(small, places, targets, torch.optim.Adam(small.parameters(), lr=2e-3), tiny_steps)
        fitted[omega_0, frequencies] = render(small, *tiny_size, tiny_size)
        doubled[omega_0, frequencies] = render(small, *size, tiny_size)

# %% [markdown]
# Move the sliders. Find the fog, find the noise, and find a picture that is right on its pixels and wrong between
# them.

# %%
choices = figures.Choices(fitted, doubled, tiny, coffee, owner=label(Siren, fit, render))
sliders = {"omega_0": choices.slider("ω₀", omegas), "frequencies": choices.slider("L", counts)}
widgets.explore(choices.show, **sliders)

# %% [markdown]
# - **Too slow** (upper left): fog again. A sine with a small $\omega_0$ is nearly a line.
# - **Too fast** (lower right): where the waves are faster than the pixels, the network may do as it likes between
#   them. It fits the pixels and invents the rest, or does not even fit.
# - **How fast is fast?** A picture of 75 pixels can't show more than 37 waves (the sampling theorem), and the last
#   frequency of the encoding makes $1.4^{L-1}$ of them: 5 for L = 6, 15 for L = 9, 40 for L = 12.
#
# For a codec that is asked for its own size only, the left map counts. Whoever wants to zoom needs the right one.

# %% [markdown]
# ## COIN: the weights are the file
#
# Now the step from painting to compression. COIN (Dupont et al., 2021,
# [arXiv 2103.03123](https://arxiv.org/abs/2103.03123)) stores the weights of a small SIREN, and that is the file:
# float16 numbers, two bytes each, and no encoding in front (L = 0).
#
# One of its networks has 5 sine layers of 20 neurons. **How many weights is that? And how many bits for
# each of our 15,000 pixels?**
#
# ### 02.6 Count the bits (2 min)

# %%
@exercise("02.6")
def rate_of_weights(network, height, width, bits_per_weight=16):
    """Bits per pixel of a picture of height × width pixels, stored as the weights of a network."""
    # The decoder needs every number in network.parameters(). How many are there in all?
    ### BEGIN SOLUTION
    numbers = sum(parameter.numel() for parameter in network.parameters())
    return bits_per_weight * numbers / (height * width)
    ### END SOLUTION

# %%
hint("02.6")

# %% tags=["nbval-check-output"]
coin = Siren(width=20, sine_layers=5, frequencies=0)
print(f"{sum(p.numel() for p in coin.parameters()):,} weights")
for bits in (32, 16, 8):
    print(f"{bits} bits a weight: {rate_of_weights(coin, height, width, bits):.2f} bits per pixel")

# %% [markdown]
# Fit it. The loop does not care which optimizer it is given, so take a better one: SOAP (Vyas et al., 2024,
# [arXiv 2409.11321](https://arxiv.org/abs/2409.11321)) looks at the shape of each weight matrix, and on networks
# as small as these that costs little and gains a lot. Its learning rate rises and falls once over the fit (*one cycle*).
# Then round to float16, as the file would.

# %%
from pytorch_optimizer import SOAP

torch.manual_seed(0)
coin = Siren(width=20, sine_layers=5, frequencies=0).to(coffee.device)
options = {"betas": (0.95, 0.95), "weight_decay": 0.0, "precondition_frequency": 5}
soap = SOAP(coin.parameters(), lr=8e-3, **options)
coin_steps = budget_value(quick=20, laptop=600, gpu=3000)
cycle = torch.optim.lr_scheduler.OneCycleLR(soap, 8e-3, coin_steps + 1, cycle_momentum=False)
soap.register_step_post_hook(lambda *_: cycle.step())  # after each step, the next learning rate
fit(coin, coordinates, colours, soap, coin_steps)

stored = copy.deepcopy(coin).half().float()  # what the decoder finds in the file
as_float16 = (rate_of_weights(stored, *size), metrics.psnr(render(stored, *size, size), coffee))
whose = label(Siren, fit, render, rate_of_weights)
print(f"{as_float16[0]:.2f} bits per pixel, {as_float16[1]:.1f} dB ({whose})")

# %% [markdown]
# Can 16 bits a weight be beaten? Most weights are small, and most of their digits don't matter to the picture. So a
# real codec *rounds* the weights as coarsely as the picture allows, already during the fit, and writes frequent
# values with few bits (*entropy coding*, notebook 06). The library's `coin` does both. It trains as you did: the same
# shape, SOAP, one cycle up to the same rate, as many steps. **How many bits will a weight take?**

# %%
codec = codecs.get("coin")
budget = budget_value(quick="quick", laptop="laptop", gpu="laptop")
data = codec.encode(coffee, bpp=0.9, iterations=coin_steps, budget=budget)
config = codec.config_of(data)
as_file = (metrics.bits_per_pixel(data, coffee), metrics.psnr(codec.decode(data), coffee))

print(f"{config.sine_layers} layers of {config.width}: {config.weights:,} weights, {len(data):,} bytes")
print(f"{8 * len(data) / config.weights:.1f} bits a weight, the header included")
print(f"{as_file[0]:.2f} bits per pixel, {as_file[1]:.1f} dB")

# %% [markdown]
# ### Where you are on the plane
#
# Here is JPEG's curve for the same picture, and your points as stars: the weights as float16, the file, and
# the JPEG of your choice if you did notebook 01. **Where will they land, above the curve or below?**

# %%
record_point("COIN, float16", *as_float16, picture="coffee 150x100", note="notebook 02")
record_point("COIN, file", *as_file, picture="coffee 150x100", note="notebook 02")

jpeg = codecs.get("jpeg")
files = [jpeg.encode(coffee, quality=quality) for quality in (5, 10, 20, 30, 40, 50, 60, 70, 80)]
curve = [(metrics.bits_per_pixel(f, coffee), metrics.psnr(jpeg.decode(f), coffee)) for f in files]

stars = {star["codec"]: (star["bpp"], star["psnr"]) for star in points("coffee 150x100")}
drawing.plane({"JPEG": curve}, stars, title="coffee, 150 × 100 pixels, every byte counted")

# %%
rates, decibels = zip(*curve, strict=True)
for name, (bpp, psnr) in {"float16": as_float16, "file": as_file}.items():
    gap = psnr - np.interp(bpp, rates, decibels)
    print(f"COIN, {name}: {gap:+.1f} dB against JPEG at the same rate")

# %% [markdown]
# The same idea, twice: with 16 bits for each weight it stands about on JPEG's line, and with as many as it deserves
# clearly above. How the weights are written makes that difference; notebook 06 opens the box. (Not all is equal: `coin` spends
# some of its steps on learning to be rounded, sees 6,000 of the 15,000 pixels in a step, starts with smaller biases, and
# stretches the canvas to the picture's shape. Over three seeds your float16 network ends between 0.4 dB below JPEG and 0.1 dB
# above; `tests/benchmarks/ladder.py` measures that, too.)
#
# More steps help. With 3,000, half a minute of work, the file reaches this:

# %%
longer = course.sample_file("coffee-coin-0.9.inr")
decoded = codec.decode(longer)
print(f"{metrics.bits_per_pixel(longer, coffee):.2f} bits per pixel, {metrics.psnr(decoded, coffee):.1f} dB")

# %% [markdown]
# Be fair to JPEG: on so small a picture its header weighs a lot (notebook 01). On Kodak's pictures of 768 × 512,
# COIN with float16 weights was ahead of JPEG at low rates only, as its authors say. Closing in on the codecs of
# today is what the next notebooks are about.

# %% [markdown]
# ## How it came about
#
# - **NeRF** (Mildenhall et al., March 2020, [arXiv 2003.08934](https://arxiv.org/abs/2003.08934)): a network on
#   coordinates holds a whole scene, and sines and cosines of the coordinates make it sharp (section 5.1).
# - **Fourier features** (Tancik et al., June 2020, [arXiv 2006.10739](https://arxiv.org/abs/2006.10739)): the
#   reason why. The encoding sets which frequencies a network learns easily, and can be tuned to the picture.
# - **SIREN** (Sitzmann et al., June 2020, [arXiv 2006.09661](https://arxiv.org/abs/2006.09661)): the sine moves
#   from the input into every layer. With the right start that trains well, and derivatives come with it.
# - **COIN** (Dupont et al., March 2021, [arXiv 2103.03123](https://arxiv.org/abs/2103.03123)): the weights of such a
#   network *are* the compressed picture. Fitting is encoding, asking is decoding.

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 03 lets $\omega_0$ differ from pixel to pixel: a second, tiny network decides how fast the waves
#   are where. That is NIF.
# - **In the library:** `PositionalEncoding`, `SineLayer`, `initialize` and `Siren` in
#   [`networks/siren.py`](../tutorial_lib/networks/siren.py); your loop is `fit` in
#   [`training/networks.py`](../tutorial_lib/training/networks.py), `render_tiles` is in
#   [`images/coordinates.py`](../tutorial_lib/images/coordinates.py), and what you called at the end is
#   [`codecs/sirens.py`](../tutorial_lib/codecs/sirens.py).
# - **Try:** give the ReLU network ten times the steps. How much of the fog goes?
# - **Try:** another picture in place of the coffee, `images.reduce(images.sample("chelsea"), factor=3)`. Where does L want to be?
# - **Try:** `plots.pictures([render(network, 500, 750, size)])`. Is what you see at that size in the picture, or in the sines?
# - **Try:** other rates for the file, `bpp=0.5` and `bpp=1.5`: a COIN curve of your own.
# - **Try:** an activation of your own, in the cell below: nothing checks it.
# - **Read:** SIREN's first four pages, and the pictures of its supplement, linked above.

# %%
class MyLayer(SineLayer):
    def forward(self, features):
        z = nn.Linear.forward(self, features)
        return torch.sin(self.omega_0 * z)  # change this line


torch.manual_seed(0)
my_network = nn.Sequential(MyLayer(2, 48, first=True), MyLayer(48, 48), nn.Linear(48, 3)).to(tiny.device)
fit(my_network, places, targets, torch.optim.Adam(my_network.parameters(), lr=2e-3), tiny_steps)

mine = paint(my_network, places)
plots.pictures([mine], [f"my layers: {metrics.psnr(mine, tiny):.1f} dB"], zoom=4, alt="a tiny cup of coffee")
