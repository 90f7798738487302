# %% [markdown]
# # 06 · Quantization and packing
#
# A fit ends with a network, and a network is a long list of float32 numbers. That is not a file yet, and it is far too
# long. This notebook goes the rest of the way: from weights to the last byte, and back, without losing a single bit.
#
# | | |
# |---|---|
# | **You will** | round weights and train through it, count bits, run a range coder, write a file, break it |
# | **Time** | 45 minutes, 31 of them for seven exercises |
# | **In a three-hour workshop** | 25 minutes: 06.1, 06.2, 06.3a and 06.4; pass over what "may be skipped" |
# | **You need** | a little PyTorch; no earlier notebook, nothing to download |

# %%
import math
import zlib
from dataclasses import replace

import constriction
import numpy as np
import torch

from tutorial_lib import codecs, images, metrics, plots, training, widgets
from tutorial_lib.coding import parameters
from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.coding.steps import QuantizedTensor, storable_step
from tutorial_lib.course import (
    budget_value,
    drawing,
    exercise,
    hint,
    label,
    points,
    progress,
    record_point,
    sample_file,
    solution,
)
from tutorial_lib.lessons.n06_quantization import damage, figures
from tutorial_lib.runtime import choose_device
from tutorial_lib.training import Phase

torch.set_num_threads(1)  # networks as small as these gain nothing from more

# %% [markdown]
# ## Far too long
#
# Here is the cup of coffee again, 150 × 100 pixels, fitted by a SIREN like that of notebook 02. (About ten seconds.) Each
# weight takes 4 bytes. **How large is the "file"? And a JPEG that is as good?**

# %%
coffee = images.reduce(images.sample("coffee"), factor=4).to(choose_device())
height, width = coffee.shape[1:]

codec = codecs.get("siren")
config = codec.plan(coffee.cpu(), bpp=1.4).config
network = codec.build(config, height, width).to(coffee.device)

steps = budget_value(quick=40, laptop=700, gpu=2000)
fit = Phase("full precision", steps, "adam", learning_rate=5e-3, points=3750)
training.fit(network, coffee, (fit,), progress=False)
exact = network.render().cpu()
coffee = coffee.cpu()

# %%
weights = {name: parameter.detach().cpu() for name, parameter in network.named_parameters()}
count = sum(each.numel() for each in weights.values())
full = metrics.psnr(exact, coffee)
jpeg = figures.as_good_a_jpeg(coffee, full)
print(f"{count:,} weights, {config}")
print(f"as float32: {4 * count:,} bytes, {32 * count / (height * width):.1f} bits per pixel, {full:.1f} dB")
print(f"JPEG, as good: {len(jpeg):,} bytes")

# %% [markdown]
# Several times as long. So a weight can't have 32 bits. **How many would you give it?**
#
# Most of them are small. If one layer may only keep values on a grid, with the same step Δ everywhere, it looks like this:

# %%
figures.steps_figure(weights["layers.1.weight"], bits=4)

# %% [markdown]
# ### 06.1 A uniform quantizer (4 min)
#
# A weight $w$ becomes an integer, its *symbol*, and is read back as a multiple of the step:
#
# $$q = \mathrm{round}(w / \Delta), \qquad \hat w = q \cdot \Delta, \qquad \Delta = \frac{\max |w|}{2^{B-1} - 1}$$
#
# - $B$ is the number of bits. With 8, symbols go from −127 to 127.
# - $\Delta$ is one number for a whole layer, so that its largest weight just fits.
#
# The file will give Δ two bytes, as a bfloat16. `storable_step(Δ)` is the nearest number that fits in there, and the weights
# must be divided by *that* one.


# %%
@exercise("06.1")
def quantize(weights, bits):
    """Weights of a layer to (symbols, step): int32 of the same shape, and a plain number."""
    # .item() makes a plain number of a tensor, .int() makes int32.
    ### BEGIN SOLUTION
    largest = weights.abs().max().item()
    step = storable_step(largest / (2 ** (bits - 1) - 1))
    symbols = torch.round(weights / step).int()
    return symbols, step
    ### END SOLUTION


# %%
hint("06.1")

# %% [markdown]
# Now round all layers, and paint. **At how many bits will you begin to see it? At how many is there no cup?**


# %%
def rounded(bits):
    """All weights after rounding."""
    pairs = {name: quantize(each, bits) for name, each in weights.items()}
    return {name: symbols * step for name, (symbols, step) in pairs.items()}


def look(bits=5):
    picture = figures.paint(network, rounded(bits))
    titles = ["32 bits", f"{bits} bits ({label(quantize)}): {metrics.psnr(picture, coffee):.1f} dB"]
    return plots.pictures([exact, picture], titles, zoom=2, alt="a cup of coffee")


widgets.explore(look, bits=(2, 10))

# %% [markdown]
# With eight bits nothing is to be seen. With five the cup is dirty, with three it is gone. This is *post-training
# quantization*, PTQ: fit first, round afterwards, hope.

# %% [markdown]
# ## A gradient that vanishes
#
# Hope is not a method. Let the fit *know* that its weights will be rounded, and find others that can bear it. So: round in every
# step, before painting. **What will the gradients of the weights be?**

# %%
canvas = images.canvas(height, width)[::2, ::2]  # every second pixel
colours = coffee[:, ::2, ::2].movedim(0, -1)
small = {name: quantize(each, bits=4)[1] for name, each in weights.items()}
painter = codec.build(config, height, width)


def error(some):
    """The mean squared error of a network with these weights."""
    painted = torch.func.functional_call(painter, some, (canvas,))
    return (painted - colours).square().mean()


def plain(weights, step):
    return torch.round(weights / step) * step


# %% tags=["nbval-check-output"]
free = {name: each.clone().requires_grad_() for name, each in weights.items()}
error({name: plain(each, small[name]) for name, each in free.items()}).backward()
print("the largest gradient of all weights:", max(each.grad.abs().max().item() for each in free.values()))

# %% [markdown]
# Exactly 0. A small change of a weight changes nothing, since it is rounded away. Where it would change something, at a jump,
# there is no slope at all.

# %%
figures.staircase_figure()

# %% [markdown]
# ### 06.2 Straight through (4 min)
#
# The way out is a lie. Forwards, round. Backwards, pretend that nothing happened, and let the gradient pass *straight
# through*, with slope 1 (Bengio et al., 2013, [arXiv 1308.3432](https://arxiv.org/abs/1308.3432)).
#
# **When is that a good lie?** Look at the dashed line of the left figure: on the whole, the staircase does go up like $w$.
#
# In PyTorch, `x.detach()` has the value of `x` and no gradient.


# %%
@exercise("06.2")
def straight_through(weights, step):
    """Δ·round(w/Δ) forwards; backwards the gradient of w."""
    # Write it as weights + (a difference that no gradient sees).
    ### BEGIN SOLUTION
    rounded = torch.round(weights / step) * step
    return weights + (rounded - weights).detach()
    ### END SOLUTION


# %%
hint("06.2")

# %% [markdown]
# Both ways, from the same fitted weights, with 4 bits. **What will the two lines look like?**


# %%
def train(rounding, steps):
    """PSNR in the course of a fit whose weights are rounded in every step."""
    free = {name: each.clone().requires_grad_() for name, each in weights.items()}
    adam = torch.optim.Adam(free.values(), lr=5e-4)
    noted = []
    for _ in range(steps):
        loss = error({name: rounding(each, small[name]) for name, each in free.items()})
        adam.zero_grad()
        loss.backward()
        adam.step()
        noted.append(-10 * math.log10(loss.item()))
    return noted


steps = budget_value(quick=6, laptop=120, gpu=300)
owner = label(straight_through)
lines = {"as it is": train(plain, steps), f"straight-through ({owner})": train(straight_through, steps)}
figures.climb_figure(lines, "4 bits a weight")

# %% [markdown]
# Flat as the staircase, against decibels in a hundred steps. The line is rugged, because the lie is one: now and then a
# weight jumps to its neighbour, and the error with it. This is *quantization-aware training*, QAT.

# %% [markdown]
# ## Three ways to round
#
# There is a third one. PTQ takes the nearest value for each weight, as if it were alone. **Must the nearest be the best?**
# Two errors can cancel. *AdaRound* learns for each weight whether to round up or down (Nagel et al., ICML 2020,
# [arXiv 2004.10568](https://arxiv.org/abs/2004.10568)). They ask the output of each layer which is better; the library asks the
# picture, since these networks are small enough. Farther than to a neighbour no weight may go.
#
# All three start from your fit. **Who wins with 8 bits, who with 4?** (Half a minute.)

# %%
results = figures.race(
    codec,
    network,
    coffee,
    bits=budget_value(quick=(4, 6), laptop=(3, 4, 5, 6, 8), gpu=(3, 4, 5, 6, 7, 8)),
    phase=fit,
    qat=budget_value(quick=10, laptop=150, gpu=500),
    adaround=budget_value(quick=10, laptop=150, gpu=500),
)
figures.race_figure(results, full)

# %% [markdown]
# With 8 bits it doesn't matter. The fewer bits, the more it does: AdaRound gains over the nearest, and training gains over
# both, since it may move weights as far as it likes.
#
# Strümpler et al. take both, AdaRound first and QAT from there (ECCV 2022,
# [arXiv 2112.04267](https://arxiv.org/abs/2112.04267)). For your file, take QAT with 6 bits.

# %%
trained = results["QAT"][6]
symbols = {
    name: torch.round(each.detach().cpu() / trained.steps[name]).int() for name, each in trained.network.named_parameters()
}
print(f"QAT, 6 bits: {count:,} symbols, {6 * count / 8:,.0f} bytes if each one takes 6 bits; {trained.psnr:.1f} dB")

# %% [markdown]
# ## Not all symbols are alike
#
# Six bits each, that is for symbols that are all equally likely. Here are those of one layer. **How many bits would you
# give to a 0, and how many to a 25?**

# %%
layer = symbols["layers.1.weight"]
figures.symbols_figure(layer)

# %% [markdown]
# ### 06.3a The entropy of the symbols (4 min)
#
# What has probability $p$ should take $-\log_2 p$ bits: few for what comes often, many for what is rare. On average that makes
#
# $$H = -\sum_k p_k \log_2 p_k$$
#
# bits a symbol, the *entropy*, where $p_k$ is the share of the symbol $k$. (`symbols.unique(return_counts=True)` gives the
# distinct symbols, and how often each appears.) No code that writes symbols one by one
# and independently can do with less (Shannon, 1948,
# [doi 10.1002/j.1538-7305.1948.tb01338.x](https://doi.org/10.1002/j.1538-7305.1948.tb01338.x)).


# %%
@exercise("06.3a")
def entropy(symbols):
    """Bits a symbol, a plain number."""
    ### BEGIN SOLUTION
    _, counts = symbols.unique(return_counts=True)
    p = counts / symbols.numel()
    return -(p * torch.log2(p)).sum().item()
    ### END SOLUTION


# %%
hint("06.3a")

# %%
bound = int(layer.abs().max())
saved = (6 - entropy(layer)) * layer.numel() / 8
print(f"this layer: {entropy(layer):.2f} bits a symbol instead of 6 ({label(entropy)}), {saved:.0f} bytes saved")
print(f"but the decoder needs the shares, too: {2 * bound + 1} counts, about {2 * bound + 1} bytes")

# %% [markdown]
# ## One number instead of sixty
#
# The shares cost nearly half of what they save. But look at the figure again: a peak, and tails that fall on both sides. **Can
# you describe it with one number?**
#
# A *Laplace* law has one, its width $b$. And the average magnitude of the symbols is a good choice for it.
#
# ### 06.3b A Laplace law for the symbols (6 min, may be skipped)
#
# $$P(0) \propto 1 - t, \qquad P(\pm k) \propto \tfrac12 \bigl(\tfrac1t - t\bigr) \, t^{2k}, \qquad t = e^{-1/(2b)}$$
#
# - That is the area under $\frac{1}{2b} e^{-|x|/b}$ from $k - \frac12$ to $k + \frac12$, written without integrals.
# - $\propto$, because the law is cut off: symbols go from −bound to bound only. Divide by the sum, so that it is 1.
# - `np.where(k == 0, …, …)` chooses, symbol by symbol, between the two formulas.


# %%
@exercise("06.3b")
def laplace_table(b, bound):
    """Probabilities of −bound … bound, a NumPy array of 2·bound + 1 that sums to 1."""
    ### BEGIN SOLUTION
    k = np.abs(np.arange(-bound, bound + 1))
    t = math.exp(-1 / (2 * b))
    table = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2 * k))
    return table / table.sum()
    ### END SOLUTION


# %%
hint("06.3b")

# %%
b = layer.abs().float().mean().item()
law = laplace_table(b, bound)
figures.symbols_figure(layer, law, label(laplace_table))

# %% [markdown]
# ## Fractions of a bit
#
# A symbol that should take 2.3 bits: how do you write 0.3 of a bit? A *range coder* doesn't write symbols one by one. It
# names one number between 0 and 1 for all of them.
#
# Say there are three symbols: −1 and 1 with probability 0.2 each, 0 with 0.6. **Which symbols shrink the interval most, the
# likely or the unlikely ones?**

# %%
figures.interval_figure([0, 1, 0, -1], {-1: 0.2, 0: 0.6, 1: 0.2})

# %% [markdown]
# Each symbol multiplies the width of the interval by its probability, and to name a number inside takes about
# $-\log_2(\text{width})$ bits. A product of probabilities, a sum of bits: every symbol costs its $-\log_2 p$, with the
# fractions. (Martin, 1979. This one is from the library [constriction](https://bamler-lab.github.io/constriction/); Bamler,
# 2022, [arXiv 2201.01741](https://arxiv.org/abs/2201.01741).)
#
# All layers, one stream. **How far will the bytes be from what the laws predict: 1 %, 5 %, 20 %?**


# %%
def law_of(some):
    largest = int(some.abs().max())
    return laplace_table(max(some.abs().float().mean().item(), 0.1), largest), largest


def model_of(table):
    return constriction.stream.model.Categorical(table, perfect=False)


encoder = constriction.stream.queue.RangeEncoder()
rows, predicted = {}, 0.0
for name, some in symbols.items():
    table, largest = law_of(some)
    indices = (some.flatten() + largest).numpy()
    bits = -np.log2(table[indices]).sum()
    encoder.encode(indices, model_of(table))
    rows[name] = (some.numel(), entropy(some), bits / some.numel())
    predicted += bits / 8
stream = encoder.get_compressed()

owner = label(entropy, laplace_table)
figures.bits_table(rows, 6, 4 * len(stream), owner)

# %% tags=["nbval-check-output"]
print("real bytes within 1 % of the prediction:", abs(4 * len(stream) / predicted - 1) < 0.01)

# %% [markdown]
# The coder does what the laws say, to a few bytes. So one may put the *laws'* bits into a loss, and know what they mean in a
# file: that was $R$ in notebook 04.
#
# The entropy column would be shorter still. Its shares aren't counted, and for a layer of 31 biases they cost more
# than the biases.
#
# And look at the biases under Laplace's law: more than the 6 bits that they had. They have no peak at 0, and what follows no
# such law, pays for it. (That is why the library gives each tensor the best of four laws.)

# %%
decoder = constriction.stream.queue.RangeDecoder(stream)
back = {}
for name, some in symbols.items():
    table, largest = law_of(some)
    back[name] = torch.from_numpy(decoder.decode(model_of(table), some.numel())).view_as(some) - largest

# %% tags=["nbval-check-output"]
print("all symbols are back:", all(torch.equal(back[name], symbols[name]) for name in symbols))

# %% [markdown]
# ## A file
#
# A cheat hides in that cell. **Where does the decoder have `law_of(some)` from?**
#
# It looks at the symbols that it is about to decode. A real decoder has the file and nothing else. So everything must
# be in there: picture size, network shape, a law and a step for each layer. And the stream.
#
# The library makes three *sections* of them. In the second, each layer has its law, its step as two bytes, and its largest
# symbol. (The law is the best of four kinds, Laplace among them.)

# %%
tensors = [QuantizedTensor(some.numpy(), trained.steps[name]) for name, some in symbols.items()]
quantizer, stream = parameters.pack_parameters(tensors)
sections = {1: codec.family.write_config(config), 2: quantizer, 3: stream}

names = {1: "configuration", 2: "quantizer", 3: "networks"}
for kind, name in names.items():
    print(f"section {kind}, {name}: {len(sections[kind]):,} bytes")

# %% [markdown]
# ### 06.4 Pack (5 min)
#
# What is left is to put the parts one behind the other, so that a program can take them apart again:
#
# | what | bytes |
# |---|---|
# | magic, `INR` in ASCII | 3 |
# | version of the format: 1 | 1 |
# | number of the codec | 1 |
# | height, then width | each a varint |
# | number of sections | 1 |
# | for each section, kinds ascending: kind, then length | 1, and a varint |
# | all sections, in the same order | |
#
# (`sections` has its kinds in that order already. One order for all, so that equal files are equal bytes.) A *varint* takes one
# byte for numbers up to 127, two up to 16,383, and so on: `varint(150)` is `96 01`. Bytes add up with `+`; `b"INR"` is the magic,
# and `bytes([a, b])` is two bytes.


# %%
@exercise("06.4")
def pack(codec, height, width, sections):
    """The bytes of a file but for its checksum; sections is {kind: bytes}."""
    ### BEGIN SOLUTION
    data = b"INR" + bytes([1, codec]) + varint(height) + varint(width)
    data += bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind]) + varint(len(body))
    return data + b"".join(sections.values())
    ### END SOLUTION


# %%
hint("06.4")

# %% [markdown]
# Here are its first bytes. **Which two would you have to change to make the picture twice as wide?**

# %%
packed = pack(codec.number, height, width, sections)
damage.bytes_table(packed, names)

# %% [markdown]
# ### 06.5 Unpack (5 min, may be skipped)
#
# And back. A `Reader` walks through the bytes: `take(n)` gives the next n, `byte()` one as a number, `varint()` a number of
# any length; `end()` makes sure that nothing is left. What goes wrong there is a `BitstreamError`.
#
# Read in the order of the table above: first all kinds and lengths, then all sections. The data may come from anywhere. So refuse
# what doesn't start with `INR`, and what isn't version 1.


# %%
@exercise("06.5")
def unpack(data):
    """(codec, height, width, {kind: bytes}) of packed bytes; BitstreamError if they are none of ours."""
    reader = Reader(data, "file")
    # raise BitstreamError("…") where something is wrong.
    ### BEGIN SOLUTION
    if reader.take(3) != b"INR":
        raise BitstreamError("this is not an .inr file")
    if reader.byte() != 1:
        raise BitstreamError("this is another version of the format")
    codec, height, width = reader.byte(), reader.varint(), reader.varint()
    table = [(reader.byte(), reader.varint()) for _ in range(reader.byte())]
    sections = {kind: reader.take(length) for kind, length in table}
    reader.end()
    return codec, height, width, sections
    ### END SOLUTION


# %%
hint("06.5")

# %% [markdown]
# The test of every codec. From the bytes alone: are the weights *equal*, not nearly? Is the picture?

# %%
number, rows_read, columns_read, parts = unpack(packed)
shape = codec.family.read_config(Reader(parts[1], "configuration section"))
decoded = codec.build(shape, rows_read, columns_read)
received = parameters.unpack_parameters(parts[2], parts[3], [each.shape for each in decoded.parameters()])
values = {name: tensor.values() for name, tensor in zip(symbols, received, strict=True)}
sent = {name: some * trained.steps[name] for name, some in symbols.items()}

picture = figures.paint(decoded, values)
plots.pictures([coffee, picture], ["original", f"from {len(packed):,} bytes ({label(pack, unpack)})"], zoom=2, alt="coffee")

# %% tags=["nbval-check-output"]
print("all weights equal:", all(torch.equal(values[name], sent[name]) for name in sent))
print("the picture is equal:", torch.equal(picture, figures.paint(decoded, sent)))

# %% [markdown]
# Rounding was the only loss, and it happened before the file.

# %% [markdown]
# ## One bit
#
# Disks fail, cables hum. Flip *one bit* of your file, in one of these places:
#
# - **A**, the width
# - **B**, a length in the section table
# - **C**, the step of the first layer
# - **D**, the first weights of the stream
# - **E**, the last ones
#
# The decoder is a simple one, which believes what it reads. **What becomes of each?** Refused (r), a picture of another
# size (s), wrecked (w), or hardly visible (h)? Write five letters, for A to E: "rswhr", say.

# %%
my_prediction = None

flips = damage.five_flips(packed, picture, codec)
damage.flips_figure(flips, my_prediction)

# %% [markdown]
# In D the range coder loses its way: from the first wrong symbol on, it reads noise. In E only the last few weights are
# wrong. But they belong to the output layer, and in a network on coordinates every weight paints everywhere.
#
# **Is there a place where a flip does no harm?** Here is one at a time, all over the file:

# %%
damage.every_flip_figure(packed, picture, codec, count=budget_value(quick=20, laptop=120, gpu=200))

# %% [markdown]
# Hardly any. And nearly all of that was *decoded without complaint*, which is worse than no picture. Here one sees that it is
# wrong; in an X-ray, perhaps not.
#
# ### 06.6 The checksum (3 min, may be skipped)
#
# Four bytes more, and each accident shows. CRC-32 is a number that `zlib.crc32` makes of all bytes. It changes with any
# single bit, any burst of up to 32 bits (Peterson and Brown, 1961,
# [doi 10.1109/JRPROC.1961.287814](https://doi.org/10.1109/JRPROC.1961.287814)).


# %%
@exercise("06.6")
def seal(data):
    """The data, and behind them their CRC-32 as four bytes, least significant first."""
    # number.to_bytes(4, "little")
    ### BEGIN SOLUTION
    return data + zlib.crc32(data).to_bytes(4, "little")
    ### END SOLUTION


# %%
hint("06.6")

# %% [markdown]
# **Of all bits in the file, each flipped once: how many flips go unnoticed now?**

# %%
my_file = seal(packed)
print(f"{8 * len(my_file):,} bits in the file ({label(pack, seal)})")

# %% tags=["nbval-check-output"]
print("unnoticed:", damage.unnoticed_flips(my_file))

# %% [markdown]
# And with that it is a whole `.inr` file. The library's decoder, and so the command `inr decode`, reads it.
#
# (A checksum is no lock: who *wants* to deceive computes a new one. So every reader in the library also checks what it
# reads. And what it has decoded from a range coder's stream, it encodes once more: the same bytes must come out.)

# %%
my_picture = codecs.decode(my_file).cpu()
point = metrics.bits_per_pixel(my_file, coffee), metrics.psnr(my_picture, coffee)
print(f"{len(my_file):,} bytes, {point[0]:.2f} bits per pixel, {point[1]:.1f} dB; the float32 weights were {4 * count:,}")

# %%
record_point("siren, QAT", *point, picture="coffee 150x100", note="notebook 06")
stars = {star["codec"]: (star["bpp"], star["psnr"]) for star in points("coffee 150x100")}
drawing.coffee_plane(stars, coffee, {"JPEG": "jpeg", "latent grids": "coolchic-small"})

# %% [markdown]
# Above JPEG, and below the latent grids, which keep their numbers where the picture is.

# %% [markdown]
# ## What the bytes are for
#
# Your file as a bar, byte after byte. Below it a JPEG of the same size, and the latent grids of notebook 04. **Which of
# the three spends most on things that aren't picture?**

# %%
plots.file_anatomy(my_file, title=f"your file ({label(pack, seal)}), {point[1]:.1f} dB")

# %%
jpeg = codecs.get("jpeg").encode(coffee, bpp=point[0])
decibels = metrics.psnr(codecs.get("jpeg").decode(jpeg), coffee)
plots.file_anatomy(jpeg, title=f"JPEG, {decibels:.1f} dB")

# %%
grids = sample_file("coffee-coolchic-0.9.inr")
decibels = metrics.psnr(codecs.decode(grids).cpu(), coffee)
plots.file_anatomy(grids, title=f"COOL-CHIC, {decibels:.1f} dB")

# %% [markdown]
# JPEG brings its tables along, an eighth of so small a file. In yours nearly everything is weights. In COOL-CHIC's, the
# networks are a quarter, and the numbers that lie where the picture is take the rest.

# %% [markdown]
# ## Put the price into the loss
#
# QAT knows that weights will be rounded. It doesn't know what they cost. Notebook 04 taught its latents that, with
# $D + \lambda R$. The same goes for weights: *entropy-aware* QAT. The same network, the same bytes, about as many steps; and
# each layer's Δ is chosen by what an error in each does to the picture. (A quarter of a minute.) **How many decibels for
# the same bytes?**

# %%
plan = codec.plan(coffee, config=config, bpp=point[0], iterations=budget_value(quick=30, laptop=850, gpu=2500))
recipe = tuple(replace(phase, optimizer="adam", points=3750) for phase in plan.recipe)
aware = codec.execute(replace(plan, recipe=recipe), coffee, progress=False).data

gained = metrics.psnr(codecs.decode(aware).cpu(), coffee)
print(f"QAT, 6 bits:       {len(my_file):,} bytes, {point[1]:.2f} dB")
print(f"entropy-aware QAT: {len(aware):,} bytes, {gained:.2f} dB")

# %% [markdown]
# The library's `siren`, `coin` and `nif` are trained that way by default.

# %% [markdown]
# ## Three questions that always come
#
# **"Why not int8, and zip it?"** Measure:

# %%
figures.zip_table(list(weights.values()), list(symbols.values()), len(my_file))

# %% [markdown]
# Both look for *repetitions*, and weights have none: little to gain on floats. On integers, zip gains by Huffman codes, with
# a whole number of bits a symbol, and brings their tables. xz has a range coder of its own, but must learn the law as it
# goes. And neither is a file yet: shapes, steps and sizes are missing there.
#
# **"What is Exp-Golomb for?"** It is a code without any table. The symbols 0, 1, −1, 2, −2 … are numbered 0, 1, 2, 3, 4 …,
# and what is written is the number *plus one*, in binary, behind as many zeros as it has digits after the first: so −1, number
# 2, is 3, `11` behind one zero. Order $k$ leaves the last $k$ digits as they are
# (Teuhola, 1978, [doi 10.1016/0020-0190(78)90024-8](https://doi.org/10.1016/0020-0190(78)90024-8)).

# %%
figures.golomb_table(layer)

# %% [markdown]
# It wastes fractions of a bit. But nothing has to be sent but the order, and a symbol ten times as large costs a few bits
# more, not ten times as many. So it is for few numbers with outliers: fields in the headers of video files (`ue(v)` in
# [ITU-T H.264](https://www.itu.int/rec/T-REC-H.264), clause 9.1), and small networks beside large latents: a network in this
# library's COOL-CHIC files takes the shorter of Exp-Golomb and Laplace.
#
# **"Why mustn't floats drive a decoder?"** Your `laplace_table` calls `exp`, whose last digit is the platform's affair.
# So encode with your $b$ and decode with one that is a little off. **How little is enough?**

# %%
indices = (layer.flatten() + bound).numpy()
encoder = constriction.stream.queue.RangeEncoder()
encoder.encode(indices, model_of(laplace_table(b, bound)))
stream = encoder.get_compressed()

for slip in (1e-15, 1e-9, 1e-6, 1e-4, 1e-2):
    table = laplace_table(b * (1 + slip), bound)
    print(f"b off by {slip:g}: {figures.first_wrong(stream, model_of(table), indices)} ({label(laplace_table)})")

# %% [markdown]
# The coder rounds each table to 24 bits, and slips that are rounded away do no harm. But if one entry changes by a single
# unit, each symbol magnifies the error as it magnifies the interval, and a few symbols later all is lost. So a slip in the
# last digit passes your tests, and breaks on one file of many, on somebody else's machine.
#
# The library's laws are tables of *integers*, made without `exp`, the same everywhere. After decoding, floats may paint: there
# an error in the last digit stays one.

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 07 compares codecs fairly, over many pictures and rates.
# - **In the library:** `quantize` in [`coding/steps.py`](../tutorial_lib/coding/steps.py), `MaxAbsQuantizer` and the
#   steps by sensitivity in [`coding/quantizers.py`](../tutorial_lib/coding/quantizers.py), `straight_through` in
#   [`training/stand_ins.py`](../tutorial_lib/training/stand_ins.py), AdaRound in
#   [`coding/rounding.py`](../tutorial_lib/coding/rounding.py), the price in the loss in
#   [`coding/rates.py`](../tutorial_lib/coding/rates.py), the laws in whole numbers in
#   [`coding/laws.py`](../tutorial_lib/coding/laws.py), `pack_parameters` and `unpack_parameters` in
#   [`coding/parameters.py`](../tutorial_lib/coding/parameters.py), header and checksum in
#   [`coding/bitstream.py`](../tutorial_lib/coding/bitstream.py).
# - **Try:** `inr encode phone.jpg`, then `inr info --anatomy` on the file.
# - **Try:** your own quantizer with one step for each row of a matrix. What do the steps cost, what do they gain?
#   (`from tutorial_lib.coding.quantizers import MaxAbsQuantizer`, then `MaxAbsQuantizer(6, rows=True)`.)
# - **Try:** `from tutorial_lib.coding import laws`, and `parameters.pack_parameters(tensors, laws=[laws.Histogram])`; then
#   `laws.Gaussian`. Which is shortest?
# - **Try:** put 2 into byte 3 of your file and seal it again. What does a decoder of today say about a file of tomorrow?
# - **Read:** Strümpler et al., linked above, for AdaRound and QAT on such networks; Nagel et al., *A white paper on neural
#   network quantization*, 2021, [arXiv 2106.08295](https://arxiv.org/abs/2106.08295), for everything around them.
# - **Read:** Bamler, linked above: entropy coding, explained as it should be.
