# %% [markdown]
# # 03 · NIF: modulated sines
#
# Each wave of a SIREN's first layer is equally fast everywhere. A picture isn't: it has calm places and busy ones. NIF
# adds a second, tiny network that speeds the waves up or slows them down, place by place. A convincing idea. *Does it
# pay?* You build it, question it like a detective, and hear the verdict.
#
# | | |
# |---|---|
# | **You will** | modulate a sine, plan a network for a bit budget, build and train NIF, and judge an idea by its files |
# | **Time** | 45 minutes, 26 of them for six exercises; the second part, how it learns, can wait |
# | **In a three-hour workshop** | 20 minutes: 03.1, 03.2 and 03.3; pass over what "may be skipped" |
# | **You need** | what a SIREN is (notebook 02); no code from it, nothing to download |

# %%
import copy
import itertools
import time

import numpy as np
import torch
from torch import nn

from tutorial_lib import codecs, course, images, metrics, plots, training, widgets
from tutorial_lib.course import budget_value, drawing, exercise, hint, label, solution
from tutorial_lib.lessons.n03_modulated_nif import figures
from tutorial_lib.networks import nif, siren
from tutorial_lib.runtime import choose_device

torch.set_num_threads(1)  # networks as small as these gain nothing from more

# %% [markdown]
# ## Where does this picture need high frequencies?
#
# Here is the coffee again, 150 × 100 pixels. **Before you go on: point at three places that fast waves are needed
# for, and at three that slow waves would do for.**

# %%
coffee = images.reduce(images.sample("coffee"), factor=4).to(choose_device())
size = height, width = coffee.shape[1:]

plots.pictures([coffee], ["Where is it calm, where is it busy?"], zoom=4, alt="a cup of coffee on a wooden table")

# %% [markdown]
# Now let a measure answer. Cut the picture into tiles, blur it a little, and see how much of each tile the blur
# takes away. Here are the quarter of the tiles that lose least, and the quarter that lose most.

# %%
calm, busy = figures.quarters(coffee)
halves = [figures.only(coffee, calm), figures.only(coffee, busy)]
plots.pictures(halves, ["the calm quarter", "the busy quarter"], zoom=3, alt="the cup, its other tiles faded")

# %% [markdown]
# Spoon, rims and highlights; there fast waves are at home. Did you have the saucer among the calm ones?
#
# ### One frequency for all
#
# A SIREN has one number $\omega_0$ for all places: how fast its waves are at the start. Three SIRENs of one size
# now paint the coffee, with $\omega_0$ = 10, 30 and 60. **Which of them will be best in the calm quarter? And in
# the busy one?**

# %%
steps = budget_value(quick=20, laptop=300, gpu=1000)
omegas = (10, 30, 60)
painted = {omega: figures.siren_picture(coffee, omega, steps) for omega in omegas}

titles = [f"ω₀ = {omega}: {metrics.psnr(painted[omega], coffee):.1f} dB" for omega in omegas]
plots.pictures(list(painted.values()), titles, zoom=2, alt="the cup as a SIREN with one ω₀ for all places paints it")

# %%
rows = {
    f"ω₀ = {omega}": [f"{figures.psnr_within(painted[omega], coffee, mask):.1f} dB" for mask in (calm, busy)]
    for omega in omegas
}
drawing.table(["calm quarter", "busy quarter"], rows, "PSNR within each quarter of the tiles")

# %% [markdown]
# The slow waves are at their best where it is calm, the faster ones where it is busy, and $\omega_0$ = 60 leaves
# ripples on the smooth saucer. One number has to be a compromise. **What if every place had its own?**

# %% [markdown]
# ## A sine with a speed of its own at each place
#
# Take one wave along x. Beside it are two maps, blue where they are 1 and orange where they are −1, and what the
# wave becomes when each of them sets its speed. **Which map made wave 1, and which wave 2?**

# %%
x, y = images.canvas(height, width).unbind(-1)
disc = torch.tanh(8 * (0.6 - torch.hypot(1.5 * x, y)))
wave = 0.8 * x + 1
shown = {
    "a wave": torch.sin(30 * wave),
    "map A": x,
    "map B": disc,
    "wave 1": torch.sin((30 + 10 * disc) * wave),
    "wave 2": torch.sin((30 + 10 * x) * wave),
}
maps = [drawing.signed(values, reach=1) for values in shown.values()]
plots.pictures(maps, list(shown), alt="stripes, and maps that change their speed")

# %% [markdown]
# Wave 1 is fast inside the disc: map B. Wave 2 gets faster and faster to the right: map A. And around the disc's rim,
# where map B changes quickly, wave 1 *bends*. We shall meet that again.
#
# NIF does this to every sine layer (Catania and Allegra, 2023, [doi
# 10.1145/3581783.3613834](https://doi.org/10.1145/3581783.3613834)):
#
# $$y = \sin\bigl((\omega_0 + \sigma \cdot f_m)\cdot(W x + b)\bigr)$$
#
# - $x$ is what enters the layer, $W$ its weights and $b$ its biases, as in SIREN.
# - $\omega_0 = 30$ is the frequency that all places have in common.
# - $f_m$ is the *modulation*: one number for each place, the same for all neurons and all layers. The maps above.
# - $\sigma = 10$ is what one unit of it is worth. So $f_m = -1$ means a frequency of 20, and $f_m = 1$ means 40.
#
# ### 03.1 The modulated activation (4 min)

# %%
@exercise("03.1")
def modulated(layer, features, f_m, omega_0=30.0, sigma=10.0):
    """A modulated sine layer: features (…, inputs) and f_m (…, 1) to (…, outputs)."""
    # `layer` is an nn.Linear: layer(features) is W·x + b, without any sine.
    ### BEGIN SOLUTION
    return torch.sin((omega_0 + sigma * f_m) * layer(features))
    ### END SOLUTION

# %%
hint("03.1")

# %% [markdown]
# With f_m = 0 everywhere, that is the sine layer of notebook 02. And a whole layer, with map B? The same random
# weights three times:

# %%
torch.manual_seed(2)
layer = nn.Linear(2, 3)
places = images.canvas(height, width)
scenes = {"f_m = 0": 0 * disc, "f_m = map B": disc, "f_m = −map B": -disc}
with torch.no_grad():
    neurons = [modulated(layer, places, f_m.unsqueeze(-1)).movedim(-1, 0) for f_m in scenes.values()]
titles = [f"{name} ({label(modulated)})" for name in scenes]
shown = [neuron / 2 + 0.5 for neuron in neurons]
plots.pictures(shown, titles, zoom=2, alt="three random neurons as red, green and blue")

# %% [markdown]
# ## Who draws the map?
#
# A second network. So a NIF is two:
#
# - the **genesis network** makes the colours: (x, y), encoded, goes through modulated sine layers to red, green and
#   blue;
# - the **modulation network** makes $f_m$: a plain little SIREN from (x, y), encoded with fewer frequencies, to one
#   number.
#
# Both are in the file, and every weight costs bits. NIF's second idea is about those: the layers of the genesis
# network get *narrower*, [120, 40, 28, 16] for instance, where a SIREN has the same width everywhere. **How do the
# weights of these two compare? Where do most of them sit?**

# %%
shapes = {
    "falling, modulated": nif.NifConfig((40, 16, 11, 8), (12, 8), 10, 4),
    "equal, modulated": nif.NifConfig((22, 22, 22, 22), (12, 8), 10, 4),
}
figures.shares_figure(shapes)

# %% [markdown]
# The first layer takes more than half of a falling network: it makes the waves. The later ones mix them, and need
# less.
#
# ### What will it cost?
#
# A layer from $n$ numbers to $m$ has $(n + 1) \cdot m$ of its own: weights and biases. An encoding with $L$
# frequencies makes $2 + 4L$ numbers of (x, y). And a weight takes so many bits: 32 as PyTorch computes, 8 in NIF's
# own program before packing, 5 to 6 in this library's files (notebook 06 shows how).
#
# **Guess before you count: how many bits per pixel is the falling network above at 5.5 bits a weight, on 15,000
# pixels?**

# %%
my_guess = None  # bits per pixel, for example 2.5

# %% [markdown]
# ### 03.2 Widths under a bit budget (4 min)

# %%
@exercise("03.2")
def predicted_bpp(genesis, modulation, frequencies, height, width, bits_per_weight):
    """Bits per pixel of a NIF that was not fitted yet.

    genesis, modulation: widths of the hidden layers, [40, 16, 11, 8] and [12, 8];
    without modulation the second is empty, and there is no modulation network at all.
    frequencies: (L of the genesis network, L of the modulation network).
    """
    # 1. Sizes along each network: inputs, widths, outputs (3, and 1).
    # 2. Sum (n + 1)·m over neighbours in each list.
    # 3. From weights to bits, and from bits to bits per pixel.
    ### BEGIN SOLUTION
    networks = [[2 + 4 * frequencies[0], *genesis, 3]]
    if modulation:
        networks.append([2 + 4 * frequencies[1], *modulation, 1])
    weights = sum((n + 1) * m for sizes in networks for n, m in itertools.pairwise(sizes))
    return bits_per_weight * weights / (height * width)
    ### END SOLUTION

# %%
hint("03.2")

# %%
bpp = predicted_bpp([40, 16, 11, 8], [12, 8], (10, 4), *size, bits_per_weight=5.5)
drawing.reveal(f"Bits per pixel ({label(predicted_bpp)})", my_guess, bpp)

# %% [markdown]
# Turned round, it is a plan: from a budget to the widths. Say 0.9 bits per pixel, which is where COIN stood in
# notebook 02. Keep the proportions, make it wider until the budget is spent:

# %% tags=["nbval-check-output"]
def family(width):
    genesis = [width, round(0.4 * width), round(0.27 * width), round(0.2 * width)]
    return genesis, [max(round(0.14 * width), 4)] * 3


for width_0 in (20, 30, 33, 34, 40):
    genesis, modulation = family(width_0)
    cost = predicted_bpp(genesis, modulation, (10, 4), *size, bits_per_weight=5.5)
    print(f"{genesis} modulated by {modulation}: {cost:.2f} bpp", "" if cost <= 0.9 else "(too much)")

# %% [markdown]
# The library's codec does just that. It also counts the header, the rounding steps and the configuration, so it may
# stop a little earlier. Nothing is fitted yet:

# %%
budget = budget_value(quick="quick", laptop="laptop", gpu="laptop")
plan = codecs.NIF.plan(coffee, bpp=0.9, budget=budget)
print(f"plan: {plan.config},")
print(f"{plan.config.weights:,} weights in {plan.target_bytes:,} bytes at most, {plan.bpp:.2f} bits per pixel")

# %% [markdown]
# We shall see what the file really takes. First, build the network.

# %% [markdown]
# ## NIF
#
# Two lists of layers, both with SIREN's start. The genesis network's layers are bare `nn.Linear`, since `modulated`
# makes their sine; the modulation network is a SIREN with its own sines.

# %%
def layers(sizes, kind):
    """Layers of a kind from sizes[0] to sizes[-2], then a linear one to sizes[-1], with SIREN's start."""
    made = [kind(n, m) for n, m in itertools.pairwise(sizes[:-1])] + [nn.Linear(*sizes[-2:])]
    for index, each in enumerate(made):
        siren.initialize(each, omega_0=30, first=index == 0)
    return nn.Sequential(*made)

# %% [markdown]
# ### 03.3 The NIF forward pass (6 min)
#
# `features` is there: it encodes the coordinates for both networks, and lays the results side by side. That needs
# no training, so it is done once and not in every step. Two methods are missing:
#
# - `modulation_map`: the modulation network, on its part of the features;
# - `colours`: the genesis network, each layer but the last one modulated by *the same* map.
#
# NIF's colours run from −1 to 1, ours from 0 to 1: $(y + 1)/2$ at the end.

# %%
@exercise("03.3")
class Nif(nn.Module):
    """Coordinates (…, 2) to colours (…, 3): one network, modulated by another."""

    def __init__(self, genesis=(40, 16, 11, 8), modulation=(12, 8), frequencies=10, modulation_frequencies=4):
        super().__init__()
        self.inputs = 2 + 4 * frequencies
        self.encoding = siren.PositionalEncoding(frequencies)
        self.modulation_encoding = siren.PositionalEncoding(modulation_frequencies)
        self.genesis = layers([self.inputs, *genesis, 3], nn.Linear)
        self.modulation = layers([2 + 4 * modulation_frequencies, *modulation, 1], siren.SineLayer)

    def features(self, coordinates):
        """What both networks are given; first the genesis network's self.inputs numbers."""
        both = [self.encoding(coordinates), self.modulation_encoding(coordinates)]
        return torch.cat(both, dim=-1)

    def modulation_map(self, features):
        """f_m of every place, (…, 1)."""
        # self.modulation, on the features after the first self.inputs.
        ### BEGIN SOLUTION
        return self.modulation(features[..., self.inputs :])
        ### END SOLUTION

    def colours(self, features):
        """Features to colours in [0, 1], not clamped."""
        # 1. f_m from self.modulation_map.
        # 2. Through self.genesis[:-1] with `modulated`,
        #    starting with the first self.inputs features.
        # 3. The last layer is linear. Then from [−1, 1] to [0, 1].
        ### BEGIN SOLUTION
        f_m = self.modulation_map(features)
        y = features[..., : self.inputs]
        for each in self.genesis[:-1]:
            y = modulated(each, y, f_m)
        return (self.genesis[-1](y) + 1) / 2
        ### END SOLUTION

    def forward(self, coordinates):
        return self.colours(self.features(coordinates))

# %%
hint("03.3")

# %% [markdown]
# Fit it. `training.fit` is the loop of notebook 02 with a few more options: here, SOAP, and a random quarter of the
# pixels in each step. (About five seconds.)

# %%
torch.manual_seed(0)
network = Nif().to(coffee.device)
fit_steps = budget_value(quick=20, laptop=500, gpu=2000)
phase = training.Phase("full precision", fit_steps, optimizer="soap", points=height * width // 4)
report = training.fit(network, coffee, (phase,), progress=False)

whose = label(modulated, Nif)
fitted = figures.paint(network, *size, size)
titles = ["original", f"NIF ({whose}): {metrics.psnr(fitted, coffee):.1f} dB"]
plots.pictures([coffee, fitted], titles, zoom=2.5, alt="a cup of coffee")

# %% [markdown]
# ## What did it do with its freedom?
#
# The frequency $\omega_0 + \sigma f_m$ is a map now. **Make a guess, then look: where will it be high? How far from
# 30 does it go?**

# %%
frequency = figures.frequency_map(network, *size)
span = f"{frequency.min():.1f} to {frequency.max():.1f}"
titles = ["the busy quarter", f"frequency ({whose}): {span}"]
maps = [figures.only(coffee, busy), figures.around_mean(frequency)]
plots.pictures(maps, titles, zoom=2.5, alt="busy tiles of the cup; and the modulation map, blue above its mean")

# %%
similar = figures.correlation(frequency, figures.detail(coffee))
print(f"correlation of frequency and detail over the tiles: {similar:+.2f} (1: the same map, 0: unrelated)")

# %% [markdown]
# Hardly a map of busy and calm. And a narrow one: the frequency could go anywhere, and varies by a few units. Is the
# modulation idle, then? Put its mean in the place of the map and leave all else as it is. **What will be left of the
# picture?**

# %%
still = figures.paint(figures.held_still(network, *size), *size, size)
names = (
    f"as fitted ({whose}): {metrics.psnr(fitted, coffee):.1f} dB",
    f"f_m held at its mean: {metrics.psnr(still, coffee):.1f} dB",
)
widgets.swipe(fitted, still, names, alt="a cup of coffee painted by a NIF", zoom=4)

# %% [markdown]
# It works, then: some decibels hang on these small changes. In $\sin(\omega \cdot z)$ with $z = 1$, a change of
# $\omega$ by 2 moves the wave by 2 radians, a third of its period. So small changes *bend* the waves, as at the rim of
# the disc. Nobody told the network to draw a map of detail. It draws what lowers the error.
#
# ### When the genesis network is slow
#
# Give the genesis network two frequencies instead of ten and fewer weights, and the modulation network more of them. Now
# the first one can't make sharp edges alone. **What will the map look like?**

# %%
torch.manual_seed(0)
slow = Nif(genesis=(16, 8, 6, 5), modulation=(32, 16), frequencies=2, modulation_frequencies=4).to(coffee.device)
training.fit(slow, coffee, (phase,), progress=False)

slow_fit, slow_map = figures.paint(slow, *size, size), figures.frequency_map(slow, *size)
slow_still = figures.paint(figures.held_still(slow, *size), *size, size)
shown = [slow_fit, figures.around_mean(slow_map), slow_still]
titles = [
    f"as fitted ({whose}): {metrics.psnr(slow_fit, coffee):.1f} dB",
    f"frequency: {slow_map.min():.1f} to {slow_map.max():.1f}",
    f"f_m held at its mean: {metrics.psnr(slow_still, coffee):.1f} dB",
]
plots.pictures(shown, titles, zoom=2, alt="a small NIF of the cup with a slow genesis network")

# %% [markdown]
# There are the outlines of cup and saucer, drawn in frequency: it jumps where the colour jumps. And without the map,
# only fog is left. The two networks share the work as it suits them.
#
# No check looks at this cell: try other widths and frequencies in it. From which on is the map idle?

# %% [markdown]
# ## What is each idea worth?
#
# An *ablation* takes one part away and measures what is lost. It is easy to fool oneself with one: who takes the
# modulation network away also takes its weights away, and a smaller network is worse anyway. So there are two
# questions: without modulation, and without modulation *but with as many weights*.
#
# Three pictures, five networks of the library, everything else equal (about half a minute). **Which row will win?**

# %%
full = nif.NifConfig((40, 16, 11, 8), (12, 8), 10, 4)
rivals = {
    "NIF": full,
    "no modulation": nif.NifConfig(full.genesis, (), 10),
    "no modulation, equal weights": figures.widest_unmodulated(full),
    "equal widths": figures.widest_equal(full),
    "equal widths, no modulation": figures.widest_equal(full, modulated=False),
}
print(*(f"{name}: widths {list(config.genesis)}" for name, config in rivals.items()), sep="\n")
pictures, seeds = figures.small_pictures(), range(budget_value(quick=1, laptop=1, gpu=3))
short = budget_value(quick=10, laptop=300, gpu=1000)

scores = {}
for name, config in rivals.items():
    for picture_name, picture in pictures.items():
        found = [figures.fitted_psnr(config, picture.to(coffee.device), short, seed) for seed in seeds]
        scores[name, picture_name] = sum(found) / len(found)

# %%
rows = {}
for name, config in rivals.items():
    each = [scores[name, picture] for picture in pictures]
    lead = (sum(each) - sum(scores["NIF", picture] for picture in pictures)) / len(each)
    psnrs = [f"{value:.1f}" for value in each]
    rows[name] = [f"{config.weights:,}", *psnrs, f"{round(lead, 1) + 0.0:+.1f} dB".replace("-", "−")]
columns = ["weights", *pictures, "mean, against NIF"]
drawing.table(columns, rows, "PSNR in dB after a short fit, before rounding")

# %% [markdown]
# Read the last column with care: another seed moves a single fit by up to half a decibel.
#
# - **Without modulation**, the same widths are worse. But they are also fewer weights.
# - **With as many weights**, NIF isn't ahead: four networks stand close together, and in another order for another
#   seed. Over three seeds (write `range(3)` above) their means were within 0.2 dB of each other on our machine. On
#   pictures as small as these, with this optimizer, it is the *number* of weights that counts.
#
# So here is the first witness, and it speaks for neither idea. But these pictures are small, nothing is rounded yet, and
# an ablation belongs to its setting: size, optimizer, patience. Whoever reports one has to say which.

# %% [markdown]
# ## The file
#
# Carry out the plan that you made in 03.2: fit, round, pack. (Most of a minute: some thousand steps, with the rate
# in the loss.) **This project's COIN file of that rate has 28.8 dB. What will NIF's have?**

# %%
encoding = codecs.NIF.execute(plan, coffee, progress=False)
data, decoded = encoding.data, codecs.decode(encoding.data)
point = (metrics.bits_per_pixel(data, coffee), metrics.psnr(decoded, coffee))

per_weight = 8 * len(data) / plan.config.weights
print(f"{len(data):,} bytes of {plan.target_bytes:,} planned, {per_weight:.1f} bits a weight, the header included")
print(f"{point[0]:.2f} bits per pixel, {point[1]:.1f} dB")

# %% [markdown]
# Here it is on the plane, as a star. The curves come from real files, too: `.inr` files of this project, decoded
# here and now, and JPEGs made on the spot. "NIF, published" is the paper's recipe, 8 bits a weight. Did you do
# notebook 02? Then your COINs are here as well. **Will the star be above JPEG, or below? Above COIN?**

# %%
def measured(name):
    some = course.sample_file(f"coffee-{name}.inr")
    return metrics.bits_per_pixel(some, coffee), metrics.psnr(codecs.decode(some), coffee)


jpeg = codecs.get("jpeg")
files = [jpeg.encode(coffee, quality=quality) for quality in (5, 10, 20, 30, 40, 50, 60, 70, 80)]
series = {
    "JPEG": [(metrics.bits_per_pixel(f, coffee), metrics.psnr(jpeg.decode(f), coffee)) for f in files],
    "COIN": [measured(f"coin-{rate}") for rate in ("0.5", "0.9", "1.4", "2.0")],
    "NIF": [measured(f"nif-{rate}") for rate in ("0.5", "1.4", "2.0")],
    "NIF, published": [measured("nif-published")],
}
course.record_point("NIF, file", *point, picture="coffee 150x100", note="notebook 03")

stars = {star["codec"]: (star["bpp"], star["psnr"]) for star in course.points("coffee 150x100")}
drawing.plane(series, stars, title="coffee, 150 × 100 pixels, every byte counted")

# %% [markdown]
# **How far is your star from the other codecs at the same rate?**

# %%
for name in ("JPEG", "COIN"):
    gap = point[1] - np.interp(point[0], *zip(*series[name], strict=True))
    print(f"your NIF file: {gap:+.1f} dB against {name} at the same rate")

# %% [markdown]
# Ahead of JPEG; but COIN, the plainest of all networks, stands beside it. Fitted by the same optimizer, for as
# long, and written by the same coder, the two hardly differ on a picture of this size: what the table of ablations
# said.
#
# Now look at "NIF, published". It is the same kind of network as yours, fitted for longer, with Adam in steps and 8
# bits a weight, and it lies far below. *How* a network is fitted and written decides more than its shape. On Kodak,
# each by its own authors' recipe, NIF is more than 2 dB ahead of COIN at 0.6 bits per pixel (the table at the end).

# %% [markdown]
# ### Zoom
#
# The file is a function of (x, y), so ask it at four times the size, 600 × 400. Beside it, a JPEG of about as many
# bytes, enlarged by bicubic interpolation. **Which one would you rather print?**

# %%
large = codecs.decode(data, size=(4 * height, 4 * width)).cpu()
closest = min(files, key=lambda f: abs(len(f) - len(data)))
enlarged = images.resize(jpeg.decode(closest).cpu(), (4 * height, 4 * width))
original = images.sample("coffee")

versions = {"original": original, f"NIF, {len(data):,} bytes": large, f"JPEG, {len(closest):,} bytes": enlarged}
spoon = [images.crop(each, 230, 290, 150, 150) for each in versions.values()]
titles = ["original"] + [f"{n}: {metrics.psnr(v, original):.1f} dB" for n, v in list(versions.items())[1:]]
plots.pictures(spoon, titles, zoom=2, method="bicubic", alt="the spoon, four times as large")

# %% [markdown]
# The network has no blocks; it has swirls. It asks nobody what lies between the pixels, it goes on with its waves,
# just as SIREN did in notebook 02.
#
# Here is your file at any size, its two networks at work for each pixel of your screen. Click into it, then turn the wheel
# or press +, and drag. M sets the modulation beside it, B bicubic. **Does the map have edges, however close you come?**

# %%
widgets.zoom(data, title="Your NIF file")

# %% [markdown]
# ## Does it pay?
#
# Three witnesses have been heard. The map is no map of detail. In the table, as many weights without modulation did as
# well. And your file stands beside COIN's. But all of them speak of small pictures.
#
# The authors have files of large ones: Kodak, 24 pictures of 768 × 512, fitted by Adam, 8 bits a weight ([their
# results](https://github.com/aegroto/nif/tree/master/results/summaries)). NIF's configuration 280 has 33.2 dB at 0.97 bits
# per pixel. Without modulation it has 32.6 dB. **Is that a gain of 0.6 dB?**

# %%
rates, psnrs = [0.320, 0.577, 0.969, 1.629, 2.605], [28.83, 30.94, 33.22, 35.62, 38.00]  # NIF
others = {
    "280, no modulation": (0.890, 32.58),
    "450, no modulation": (2.505, 37.39),
    "equal widths of 64": (0.3585, 28.76),
    "equal widths of 128": (1.094, 32.96),
}
rows = {}
for name, (rate, psnr) in others.items():
    nif_there = np.interp(np.log(rate), np.log(rates), psnrs)
    rows[name] = [f"{rate:.2f}", f"{psnr:.1f} dB", f"{nif_there:.1f} dB", f"{nif_there - psnr:+.2f} dB"]
columns = ["bits per pixel", "PSNR", "NIF at that rate", "NIF's gain"]
drawing.table(columns, rows, "Kodak: published results, at equal rate")

# %% [markdown]
# No: it had fewer bits, too. On NIF's own curve at 0.89 bits per pixel 0.27 dB are left, and 0.41 for the larger network.
# The falling widths gain 0.5 and 0.8 dB. (Between two points of the curve, PSNR is taken to grow with the logarithm of the
# rate.)
#
# Is there a *small* picture on which modulation pays? We went and looked
# ([`modulation.py`](../tests/benchmarks/modulation.py)): 24 pictures of 150 × 100, eight made by formulas (a chirp, ripples,
# a sharp patch in a smooth field …) and sixteen that come with scikit-image; about 3,000 weights each, 500 steps, the
# better of two modulated networks against the better of two plain ones. On four pictures modulation was ahead by more than
# half a decibel, on six it was behind by as much; the median is 0.0 dB.
#
# The two strongest cases, with three seeds: the silhouette of a horse, 4.2 dB ahead, and Hubble's deep field, stars in the
# dark, 0.9 dB ahead. All that is before rounding. So both had to appear as files, of 1.1 bits per pixel at most:
#
# | mean of three files | deep field | horse |
# |---|--:|--:|
# | NIF | 33.7 dB | 46.0 dB |
# | falling widths, no modulation | 34.0 dB | 41.8 dB |
# | equal widths, no modulation | 33.1 dB | 46.5 dB |
#
# On the deep field nothing is left of the lead. On the horse the modulation mends what the falling widths break, and a
# network with neither idea is as good.
#
# And the falling widths alone? Of the two plain networks the falling one was ahead on nine pictures by more than half a
# decibel, behind on four; the median is 0.3 dB.
#
# **The verdict:** on large pictures, in the authors' setting, both ideas pay; the falling widths about twice as much as the
# modulation, which gives some tenths of a decibel. On small ones, with this library's fit, falling widths often help, and
# we found no picture that needs the modulation. The waves do bend, but other waves do as well. Whoever looks for more
# quality at the same rate finds it elsewhere: in how a network is fitted and written (above), and in what it has to store
# at all (notebook 04).

# %% [markdown]
# ## Second part: how it learns
#
# All of this part may be skipped. Here are the paper's recipe for training, and a race of two optimizers.
#
# ### Training in steps
#
# The paper trains in *steps*. Within a step the learning rate rises quickly and falls slowly; then the next step
# begins, with a push. **Why might it help to make the learning rate large again, after all the patience of making
# it small?**
#
# At iteration $t$ of a step of $T$ iterations (both counted from 0), with $w$ iterations of warm-up:
#
# $$f = \begin{cases} t / (w - 1) & t < w \\ 1 - t / T & \text{else} \end{cases} \qquad
# \text{factor} = \text{floor} + (1 - \text{floor}) \cdot f$$
#
# The learning rate is its peak times that factor. Mind the jump: at $t = w - 1$ the factor is 1, and at $t = w$ the fall has
# already gone on since the step began, $f = 1 - w/T$.
#
# ### 03.4a The schedule of a step (3 min, may be skipped)

# %%
@exercise("03.4a")
def rise_and_fall(t, period, warm_up, floor):
    """Factor on the learning rate; t counts on over all steps of `period` iterations."""
    # Where in its step is t? Then f, then the factor.
    ### BEGIN SOLUTION
    t = t % period
    f = t / (warm_up - 1) if t < warm_up else 1 - t / period
    return floor + (1 - floor) * f
    ### END SOLUTION

# %%
hint("03.4a")

# %%
factors = [rise_and_fall(t, period=150, warm_up=20, floor=0.6) for t in range(450)]
curve = {"factor": (range(450), factors)}
title = f"The first three steps of the paper's schedule ({label(rise_and_fall)})"
plots.curves(curve, "iteration", "factor on the learning rate", title=title, alt="A saw with three teeth.")

# %% [markdown]
# #### The push
#
# A fit may sit in a hollow that isn't the deepest. Between two steps NIF goes back to the best weights so far and
# shakes them, so that the next step sets out from somewhere else nearby. This is the *weight restart*:
#
# - a random share $a$ of a matrix's weights is chosen (`fraction`);
# - each of these gets noise, uniform between $-c$ and $c$, with $c = r \cdot \text{mean}|w| \,/\, a$ (`strength` is
#   $r$; the mean is over the whole matrix).
#
# Biases and the first layer of each network are left alone.
#
# ### 03.4b The weight restart (4 min, may be skipped)

# %%
@exercise("03.4b")
def disturbed(weight, fraction, strength):
    """A copy of a weight matrix, a random fraction of it disturbed."""
    # torch.rand_like(weight) is uniform in [0, 1): once to choose, once for noise.
    # The matrix itself must stay as it is.
    ### BEGIN SOLUTION
    chosen = torch.rand_like(weight) < fraction
    noise = 2 * torch.rand_like(weight) - 1
    return weight + chosen * noise * strength * weight.abs().mean() / fraction
    ### END SOLUTION

# %%
hint("03.4b")

# %% [markdown]
# Now compare: one long rise and fall; the same number of iterations in five steps; and five steps with restarts,
# shaken less each time, as the paper does. The optimizer is Adam. **Which one ends best?**

# %%
cycles, iterations = 5, budget_value(quick=4, laptop=40, gpu=150)


def in_five(t):
    return rise_and_fall(t, iterations, max(iterations // 6, 2), floor=0.1)


def in_one(t):
    return rise_and_fall(t, cycles * iterations, max(iterations // 6, 2), floor=0.1)


def shaken(weight, step):
    p = step / cycles
    return disturbed(weight, fraction=0.125 + 0.575 * p**0.05, strength=0.9 - 0.7 * p**0.2)


# %% [markdown]
# (About 20 seconds.)

# %%
plans = {"one long step": (in_one, None), "five steps": (in_five, None), "five steps, restarts": (in_five, shaken)}
runs, rates = {}, {}
for name, (factor, restart) in plans.items():
    torch.manual_seed(0)
    options = {"cycles": cycles, "iterations": iterations, "factor": factor, "restart": restart}
    runs[name] = figures.in_steps(Nif().to(coffee.device), coffee, **options)
    rates[name] = [factor(t) for t in range(cycles * iterations)]
figures.steps_figure(runs, rates)

# %% [markdown]
# Look at the end of each step: the fall of the learning rate is where the quality is won, every time. But the three end
# close together, and another seed may turn them round. The paper's ten steps of 150 iterations have more time to make
# use of the pushes.
#
# `training.WarmUpCycles` and `training.WeightRestart` are these two in the library, and the codec's method
# "published" has all of the paper's steps.

# %% [markdown]
# ### A race
#
# NIF's authors train with Adam. SOAP (Vyas et al., 2024, [arXiv 2409.11321](https://arxiv.org/abs/2409.11321))
# looks at each weight matrix as a whole and finds the directions in which its gradients really vary. It needs more
# computing for each step. So a fair race counts *seconds*, not steps.
#
# Both get the same start, the same clock, and three learning rates each, of which the best counts. The track is a small
# copy of the coffee, 75 × 50 pixels. **Place your bet: who is ahead at the end, and who after a tenth of the time?**

# %%
my_winner = None  # "Adam" or "SOAP"
my_early_leader = None  # who leads after a tenth of the time

# %% [markdown]
# ### 03.5 A race on the same clock (5 min, may be skipped)
#
# Two traps, as ever: **who else trains the network that you hand over? And when does the second runner's clock
# start?**

# %%
@exercise("03.5")
def race(start, optimizers, loss, seconds, clock=time.perf_counter):
    """Each optimizer trains a copy of its own: name to [(seconds since start, loss), …].

    optimizers: name to a function that makes an optimizer of parameters.
    loss: a function of the network that gives the loss, a tensor.
    clock: gives the present time in seconds.
    """
    curves = {}
    for name, make in optimizers.items():
        # A copy of the start, its optimizer, and the time now.
        # As long as there is time left: note (elapsed, loss as a plain number),
        # before the weights move; then one step of training.
        # Put the list into curves[name].
        ### BEGIN SOLUTION
        network = copy.deepcopy(start)
        optimizer = make(network.parameters())
        noted, begun = [], clock()
        while (elapsed := clock() - begun) < seconds:
            error = loss(network)
            noted.append((elapsed, error.item()))
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        curves[name] = noted
        ### END SOLUTION
    return curves

# %%
hint("03.5")

# %%
torch.manual_seed(0)
start = Nif().to(coffee.device)
small = images.reduce(coffee, factor=2)
features = start.features(images.canvas(*small.shape[1:], device=small.device))
colours = small.movedim(0, -1)


def loss(network):
    return ((network.colours(features) - colours) ** 2).mean()


# %% [markdown]
# On your marks. (Half a minute.)

# %%
optimizers = {}
for rate in (1e-3, 2e-3, 3e-3):
    optimizers[f"Adam {rate:g}"] = lambda parameters, rate=rate: torch.optim.Adam(parameters, lr=rate)
    optimizers[f"SOAP {rate:g}"] = lambda parameters, rate=rate: figures.soap(parameters, rate)

warm_up = race(start, optimizers, loss, seconds=0.05)  # whatever is loaded at first use is loaded now
curves = race(start, optimizers, loss, seconds=budget_value(quick=0.2, laptop=5, gpu=5))
figures.race_figure(curves, owner=label(Nif, race))

# %%
leader, lead = figures.winner(curves)
early_leader, early_lead = figures.winner(curves, share=0.1)
drawing.reveal(f"At the end, by {lead:.1f} dB", my_winner, leader)

# %%
drawing.reveal(f"After a tenth of the time, by {early_lead:.1f} dB", my_early_leader, early_leader)

# %% [markdown]
# SOAP needs a while to learn the shape of the problem; then its steps are worth their price. (Is Adam ahead at the end
# as well? Then your machine is slow or busy: give both more seconds.) The price grows with the cube of a matrix's side,
# so this is a bargain for small networks, such as all that this course stores. The library's codecs use it.

# %% [markdown]
# ## How it came about
#
# - **COIN** (Dupont et al., 2021, [arXiv 2103.03123](https://arxiv.org/abs/2103.03123)): the weights are the file.
# - **Strümpler et al.** (2022, [arXiv 2112.04267](https://arxiv.org/abs/2112.04267)) made a codec of it: positional
#   encoding in front of the SIREN, rounding to 7 or 8 bits, training on with rounded weights, entropy coding; and a
#   start learned from other pictures. One picture takes up to 25,000 steps.
# - **Modulated sines** had come up elsewhere: Mehta et al. (2021, [arXiv
#   2104.03960](https://arxiv.org/abs/2104.03960)) let a second network set the *height* of each wave, COIN++
#   (Dupont et al., 2022, [arXiv 2201.12904](https://arxiv.org/abs/2201.12904)) shifts its *phase*.
# - **NIF** (Catania and Allegra, 2023, [doi 10.1145/3581783.3613834](https://doi.org/10.1145/3581783.3613834))
#   changed three things: the *frequency* is modulated, place by place; widths fall from layer to layer; and
#   training goes in steps with restarts, on sub-pictures, with SSIM in the loss. No learned start is needed. Its
#   [authors](https://iplab.dmi.unict.it/nif) report comparable or better quality at up to 26 times the encoding
#   speed.
#
# Means over Kodak, from the result files in [NIF's repository](https://github.com/aegroto/nif):

# %%
published = {
    "COIN, 10 layers of 40": ["0.61", "28.4 dB"],
    "Strümpler et al., 8 bits": ["0.59", "30.6 dB"],
    "NIF, configuration 200": ["0.58", "30.9 dB"],
}
drawing.table(["bits per pixel", "PSNR"], published, "Kodak, 24 pictures of 768 × 512, published results")

# %% [markdown]
# ## Where you are

# %%
course.progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 04 leaves the single network behind. COOL-CHIC stores small pictures, *latent grids*, beside
#   it.
# - **In the library:** `Nif`, its modulated sine and the paper's networks are in
#   [`networks/nif.py`](../tutorial_lib/networks/nif.py), your schedule is `WarmUpCycles` in
#   [`training/schedules.py`](../tutorial_lib/training/schedules.py), your restart `WeightRestart` in
#   [`training/phases.py`](../tutorial_lib/training/phases.py); the codec that you called is
#   [`codecs/nif.py`](../tutorial_lib/codecs/nif.py).
# - **Try:** `nif.NifConfig(…, sigma=0)` and `sigma=30` in the table. How much freedom does the map want?
# - **Try:** give the modulation network no positional encoding, `modulation_frequencies=0`. How does its map
#   change?
# - **Try:** the race with ten times the seconds. Does Adam catch up?
# - **Try:** a larger picture, `images.reduce(images.sample("coffee"), factor=2)`, in the table. Does modulation
#   begin to pay?
# - **Read:** NIF's [project page](https://iplab.dmi.unict.it/nif) with its poster, and the paper itself.
