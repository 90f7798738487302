# %% [markdown]
# # 01 · Data loading: pictures as functions
#
# Before a network can learn a picture, the picture has to become questions and answers. And before anyone can
# say "my codec is better", two numbers have to be measured with care.
#
# | | |
# |---|---|
# | **You will** | lay a picture out as a list, measure errors in dB and files in bits per pixel, trade one for the other |
# | **Time** | 25 minutes, 15 of them for four exercises |
# | **In a three-hour workshop** | 15 minutes: 01.1, 01.2 and 01.4; pass over what "may be skipped" |
# | **You need** | a little PyTorch; no earlier notebook, nothing to download |

# %%
import math

import torch
from torch import nn

from tutorial_lib import images, plots, widgets
from tutorial_lib.codecs.classical import CODECS
from tutorial_lib.course import drawing, exercise, hint, label, progress, record_point, solution
from tutorial_lib.lessons.n01_data_loading import figures
from tutorial_lib.networks import siren

# %% [markdown]
# ## A picture is a function, seen at a few places
#
# Take 60 pixels of one row of a picture: a line through a cat's eye. **What do red, green and blue do along it,
# from the iris through the pupil and out again?**

# %%
cat = images.crop(images.sample("chelsea"), 24, 120, 192, 240)
figures.row_as_function(cat, row=86, columns=(20, 79))

# %% [markdown]
# The valley is the pupil, the hill in it a reflection. Each dot is a *sample*: one pixel. The scene had a colour
# everywhere; the camera kept it at these places only. So a picture is samples of a function
#
# $$I(x, y) = (R, G, B)$$
#
# with $x$ and $y$ the place, to the right and down, and $R, G, B$ the colour there, each from 0 to 1.
#
# What lies between the dots, no file says. A codec of this course learns a smooth $I$ that runs close to them,
# and stores that.

# %%
print("shape:", tuple(cat.shape), "  type:", cat.dtype)
print("the pixel in row 86, column 20:", cat[:, 86, 20])

# %% [markdown]
# In this course a *picture* is always such a tensor: (3, height, width), red, green, blue, values from 0 to 1.

# %% [markdown]
# ## Where is a pixel?
#
# Pixels have numbers: column px from 0 to W − 1, row py from 0 to H − 1, for a picture of W × H pixels. Networks
# learn faster from small numbers around zero (LeCun et al., 1998, *Efficient BackProp*, section 4.3). So the
# corners go to −1 and 1, whatever the size.
#
# **What are x and y at the question mark?**

# %%
figures.pixel_places(images.reduce(cat, size=(5, 9)))

# %% [markdown]
# Column 3 of 0 … 8 is 3/8 of the way from −1 to 1, a way of length 2: x = 2 · 3/8 − 1 = −0.25. And
# y = 2 · 1/4 − 1 = −0.5. In general
#
# $$x = \frac{2\,\mathrm{px}}{W - 1} - 1 \qquad\qquad y = \frac{2\,\mathrm{py}}{H - 1} - 1$$
#
# A side of one pixel has nothing to spread: its coordinate is 0.
#
# ### 01.1 Where is a pixel? (4 min)

# %%
@exercise("01.1")
def canvas(height, width):
    """Coordinates of all pixels: float32, (height, width, 2), the last axis in the order (x, y)."""
    # Make the coordinates along each side, from −1 to 1. A side of one pixel gets 0.
    # Then combine them to a grid: canvas(height, width)[py, px] is (x, y).
    ### BEGIN SOLUTION
    def axis(length):
        return 2 * torch.arange(length) / (length - 1) - 1 if length > 1 else torch.zeros(1)

    y, x = torch.meshgrid(axis(height), axis(width), indexing="ij")
    return torch.stack([x, y], dim=-1)
    ### END SOLUTION

# %%
hint("01.1")

# %%
figures.coordinate_table(canvas(5, 9), f"canvas(5, 9), {label(canvas)}: x above y")

# %% tags=["nbval-check-output"]
x, y = canvas(5, 9)[1, 3].tolist()
print(f"At the question mark: x = {x:.2f}, y = {y:.2f}")

# %% [markdown]
# ## A picture as a list
#
# A network is asked for points, not for pictures. So lay the picture out as a list with one row for each pixel:
#
# | | coordinates, shape (H·W, 2) | colours, shape (H·W, 3) |
# |---|---|---|
# | pixel 0 | x, y | R, G, B |
# | pixel 1, to its right | x, y | R, G, B |
# | … | … | … |
#
# ### 01.2 A picture as a list, and back (5 min)

# %%
@exercise("01.2")
class Pairs:
    """A picture as a list: where, and which colour."""

    @staticmethod
    def from_picture(picture):
        """Picture (3, H, W) to coordinates (H·W, 2) and colours (H·W, 3), row by row."""
        # `canvas` gives the coordinates as a grid: flatten it.
        # Flatten the colours in the same order.
        ### BEGIN SOLUTION
        height, width = picture.shape[1:]
        coordinates = canvas(height, width).reshape(-1, 2)
        colours = picture.permute(1, 2, 0).reshape(-1, 3)
        return coordinates, colours
        ### END SOLUTION

    @staticmethod
    def to_picture(colours, height, width):
        """Colours (H·W, 3), row by row, to the picture (3, H, W)."""
        # The same steps, undone in reverse order.
        ### BEGIN SOLUTION
        return colours.reshape(height, width, 3).permute(2, 0, 1)
        ### END SOLUTION

# %%
hint("01.2")

# %% [markdown]
# Once the picture is a list, its order no longer matters: each row says all about its pixel. Shuffle the list,
# keep the first few rows, and paint only those. **How many pixels does it take until you see the cat?**

# %%
coordinates, colours = Pairs.from_picture(cat)
shuffled = torch.randperm(len(colours), generator=torch.Generator().manual_seed(1))


def painted(count):
    some = torch.ones_like(colours)
    some[shuffled[:count]] = colours[shuffled[:count]]
    return Pairs.to_picture(some, *cat.shape[1:])


shares = (0.05, 0.2, 0.6)
plots.pictures(
    [painted(int(share * len(colours))) for share in shares],
    [f"{share:.0%} of the list ({label(Pairs)})" for share in shares],
    alt="pixels of a cat",
)

# %% [markdown]
# Such a handful of shuffled rows is a *batch*. A network can be trained on one batch after the other, where a picture is
# too large to be asked for all at once; notebook 02 takes all pixels.
#
# One trap of the way back. The picture on the right holds exactly the same numbers, in the right shape, without an
# error message. **What happened to it?**

# %%
scrambled = colours.reshape(cat.shape)
plots.pictures([cat, scrambled], ["the picture", "the list, only reshaped"], alt="a cat")

# %% [markdown]
# `reshape` never moves a number in memory. The list has R, G, B of one pixel side by side, a picture has all of R
# first. Changing which axis comes first takes `permute`. Look at your pictures after each such line.

# %% [markdown]
# ## Time is one more coordinate
#
# A clip is a function, too: $I(x, y, t) = (R, G, B)$, with $t$ the time from −1, its first picture, to 1, its
# last. Here is a short one: a camera moves across the cat. **What changes in the list? What in the network?**

# %%
clip = [images.crop(cat, 40 + 6 * step, 16 * step, 96, 128) for step in range(7)]
times = torch.linspace(-1, 1, len(clip))
plots.pictures(clip[::2], [f"t = {time:.2f}".replace("-", "−") for time in times[::2]], alt="a cat")

# %%
where, what = [], []
for frame, time in zip(clip, times, strict=True):
    xy, rgb = Pairs.from_picture(frame)
    where.append(torch.cat([xy, time.expand(len(xy), 1)], dim=1))
    what.append(rgb)

print("coordinates:", tuple(torch.cat(where).shape))
print("colours:    ", tuple(torch.cat(what).shape))

# %% [markdown]
# The list has one more column, and 7 times as many rows. And the network: one more input.

# %% tags=["nbval-check-output"]
for name, inputs in {"picture": 2, "clip": 3}.items():
    first, middle = siren.SineLayer(inputs, 32, first=True), siren.SineLayer(32, 32)
    network = nn.Sequential(first, middle, nn.Linear(32, 3))
    weights = sum(each.numel() for each in network.parameters())
    print(f"{name}: {inputs} inputs, {weights} weights")

# %% [markdown]
# 32 more weights, one for each unit of the first layer. Nothing else in this course would have to change; NeRF
# (Mildenhall et al., 2020, [arXiv 2003.08934](https://arxiv.org/abs/2003.08934)) goes from there to five inputs, a
# place in space and a direction to look in.

# %% [markdown]
# ## Signals and codecs
#
# A *codec* turns a signal into bytes, and bytes into a signal: encoder, decoder. There are two kinds.
#
# - **Lossless:** what comes out is what went in, to the last bit. PNG, for example.
# - **Lossy:** what comes out is close enough, and the file is much smaller. JPEG, for example.
#
# Here are 150 × 100 pixels of coffee. Raw, that is 45,000 bytes. **Guess: how many does PNG need? How many does
# JPEG (at quality 30 of 100), and where will its errors sit?**

# %%
coffee = images.reduce(images.sample("coffee"), factor=4)
jpeg, png = CODECS["jpeg"], CODECS["png"]
small, exact = jpeg.encode(coffee, quality=30), png.encode(coffee)
error = 5 * (jpeg.decode(small) - coffee).abs()

plots.pictures(
    [png.decode(exact), jpeg.decode(small), 1 - error.clamp(0, 1)],
    [f"PNG: {len(exact):,} bytes", f"JPEG: {len(small):,} bytes", "JPEG's error, 5 times, on white"],
    zoom=1.75,
    method="bicubic",
    alt="a cup of coffee",
)

# %% tags=["nbval-check-output"]
print("PNG came back unchanged: ", torch.equal(png.decode(exact), coffee))
print("JPEG came back unchanged:", torch.equal(jpeg.decode(small), coffee))

# %% [markdown]
# The errors sit at edges and in fine texture. How much is that in one number, and what does the file cost? The
# next two exercises measure it.

# %% [markdown]
# ## How far off?
#
# Each of these three is wrong in its own way. **Which one is the worst? Which would you send to a friend?**

# %%
decoded_cat = jpeg.decode(jpeg.encode(cat, quality=8))
versions = dict(zip("ABC", drawing.equally_wrong(cat, decoded_cat), strict=True))
plots.pictures(list(versions.values()), list(versions), alt="a cat, changed")

# %% [markdown]
# The usual number starts from the *mean squared error* of two pictures $a$ and $b$, over all pixels and the three
# channels, and turns it into decibels: the *peak signal-to-noise ratio*.
#
# $$\mathrm{MSE} = \frac{1}{3HW} \sum_{c, i, j} \left(a_{cij} - b_{cij}\right)^2 \qquad\qquad
# \mathrm{PSNR} = 10 \, \log_{10} \frac{\mathrm{peak}^2}{\mathrm{MSE}}\ \mathrm{dB}$$
#
# $H$ and $W$ are the height and width, $c$ the channel, $i$ and $j$ row and column, and the peak is the largest
# value a pixel can have: 1 in this course, 255 in grey levels. Higher is better; equal pictures have ∞ dB.
#
# **One rule:** both pictures are rounded to 8 bits first. A decoder may compute 0.50073, but a screen and a
# file show 128/255, so that is what counts.
#
# ### 01.3 PSNR (4 min, may be skipped)

# %%
@exercise("01.3")
def psnr(picture, reference):
    """PSNR in dB, a plain number, of two pictures (3, H, W), values about in [0, 1]."""
    # Bring both to [0, 1] and to 8 bits: clamp, multiply by 255, round, divide by 255.
    # Then one mean over everything, and decibels. (`.item()` makes a tensor a plain number.)
    ### BEGIN SOLUTION
    a, b = ((each.clamp(0, 1) * 255).round() / 255 for each in (picture, reference))
    mse = (a - b).square().mean()
    return (10 * torch.log10(1 / mse)).item()
    ### END SOLUTION

# %%
hint("01.3")

# %% tags=["nbval-check-output"]
grey = torch.full((3, 8, 8), 100 / 255)
print(f"One grey level off, everywhere: {psnr(grey + 1 / 255, grey):.2f} dB")
print(f"Less than half a level off:     {psnr(grey + 0.001, grey):.2f} dB")

# %% [markdown]
# Now your verdict on A, B and C.

# %%
for name, version in versions.items():
    print(f"{name}: {psnr(version, cat):.1f} dB ({label(psnr)})")

# %% [markdown]
# Equal, give or take a tenth. A is brighter everywhere, B is noisy, C is a JPEG file; PSNR sees how large an error
# is, not of which kind (Wang and Bovik, 2009,
# [doi 10.1109/MSP.2008.930649](https://doi.org/10.1109/MSP.2008.930649)). Notebook 05 trains with other measures.

# %% [markdown]
# ## What does it cost?
#
# Files of small and large pictures can't be compared in bytes. So the *rate* is the size of the whole file, in
# bits, divided by the number of pixels: **bits per pixel**, bpp. Raw is 3 · 8 = 24.
#
# ### 01.4 Bits per pixel (2 min)

# %%
@exercise("01.4")
def bits_per_pixel(data, picture):
    """The rate: all bits of the bytes `data`, for each pixel of the picture (3, H, W)."""
    # A byte has 8 bits. A pixel is one place, whatever its three colours are.
    ### BEGIN SOLUTION
    height, width = picture.shape[1:]
    return 8 * len(data) / (height * width)
    ### END SOLUTION

# %%
hint("01.4")

# %%
db = psnr(jpeg.decode(small), coffee)
print(f"PNG:  {bits_per_pixel(exact, coffee):.2f} bits per pixel, no error")
print(f"JPEG: {bits_per_pixel(small, coffee):.2f} bits per pixel, {db:.1f} dB")
print("computed with:", label(bits_per_pixel, psnr))

# %% [markdown]
# ### Why the header counts
#
# A file starts with what the decoder must know: size, tables, settings. **The same picture at five sizes, each as
# JPEG at quality 30: how much of each file is header?**

# %%
rows = []
for factor in (16, 8, 4, 2, 1):
    picture = images.reduce(images.sample("coffee"), factor=factor)
    data = jpeg.encode(picture, quality=30)
    header = data[: data.index(b"\xff\xda")]  # "start of scan": ITU-T T.81, table B.1
    rates = bits_per_pixel(header, picture), bits_per_pixel(data, picture)
    rows.append((f"{picture.shape[2]} × {picture.shape[1]}", len(header), *rates))

title = f"One picture at five sizes, JPEG at quality 30 ({label(bits_per_pixel)})"
figures.header_bars(rows, title)

# %% [markdown]
# The header hardly grows with the picture. On a large one nobody notices it; on the smallest it is more than half
# of the file. The codecs of this course write small files, where a forgotten header can decide a comparison.
#
# So a rate here is never an estimate: it is counted on the bytes that `decode` reads, all of them.

# %% [markdown]
# ## Rate and distortion
#
# Every lossy codec trades one for the other: fewer bits, more error. Run it at many settings, and each gives a
# point (rate, PSNR). Together they are its *rate-distortion curve*, and the trade has a theory (Shannon, 1959,
# *Coding theorems for a discrete source with a fidelity criterion*).
#
# So: eleven qualities of JPEG, eleven points.

# %%
def measure(codec, quality):
    data = codec.encode(coffee, quality=quality)
    decoded = codec.decode(data)
    return bits_per_pixel(data, coffee), psnr(decoded, coffee), decoded


def curve(codec):
    qualities = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
    return [measure(codec, quality)[:2] for quality in qualities]


curves = {"JPEG": curve(jpeg)}
plane = {
    "lossless": bits_per_pixel(exact, coffee),
    "title": f"coffee, 150 × 100 pixels ({label(psnr, bits_per_pixel)})",
}
figures.rate_distortion_plane(curves, **plane)

# %% [markdown]
# Now move along it: the slider is JPEG's quality. **Where will the star go at 90? Below which quality do you see the blocks?**

# %%
def look(quality=30):
    rate, db, decoded = measure(jpeg, quality)
    crops = [images.crop(each, 20, 30, 40, 60) for each in (coffee, decoded)]
    titles = ["original", f"quality {quality}: {rate:.2f} bpp, {db:.1f} dB"]
    return figures.rate_distortion_plane(
        curves, here=(rate, db), beside=(crops, titles), **plane
    )


widgets.explore(look, quality=(5, 95, 5))

# %% [markdown]
# Up and to the left is better: less error for fewer bits. PNG stands at the end of the scale, without any error
# and at a price.
#
# Where on its curve should a codec stop? That depends on what a bit is worth. The usual way to say it is one cost,
# $J = D + \lambda R$, with $D$ the distortion (the MSE), $R$ the rate and $\lambda$ the price of a bit (Sullivan and
# Wiegand, 1998, [doi 10.1109/79.733497](https://doi.org/10.1109/79.733497)). In notebook 04, a network learns to
# make $J$ small.
#
# ### Your point
#
# Where would you stop? Change the number, run the cell: your choice is kept, and comes back beside the learned
# codecs in a later notebook.

# %%
my_quality = 40

rate, db, decoded = measure(jpeg, my_quality)
record_point("JPEG, my choice", rate, db, picture="coffee 150x100", note="notebook 01")
print(f"Your point: {rate:.2f} bits per pixel, {db:.1f} dB")

# %% [markdown]
# ### Which codec is better?
#
# One point can't say: compare at the same rate, or at the same PSNR. JPEG is from 1992 (ITU-T T.81), WebP from 2010
# ([Google](https://developers.google.com/speed/webp)). **How many dB lie between them at 1 bit per pixel?**

# %%
both = {**curves, "WebP": curve(CODECS["webp"])}
figures.rate_distortion_plane(both, here=(rate, db), note="your point", **plane)

# %% [markdown]
# Part of the gap is JPEG's header, which weighs much on a picture as small as this. And "JPEG" is not one codec: an
# encoder has settings, and moves its curve with them. So a comparison names them. Ours:

# %%
print(jpeg.settings)

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 02 gives the pairs to a network, and lands its file as a point on this plane.
# - **In the library:** your canvas is `canvas` in [`images/coordinates.py`](../tutorial_lib/images/coordinates.py),
#   PSNR and bits per pixel are `psnr` and `bits_per_pixel` in [`metrics.py`](../tutorial_lib/metrics.py), JPEG and PNG
#   rows of the table in [`codecs/classical.py`](../tutorial_lib/codecs/classical.py).
# - **Try:** AVIF beside the others, `figures.rate_distortion_plane({**both, "AVIF": curve(CODECS["avif"])}, **plane)`. It takes
#   some seconds.
# - **Try:** a picture of your own, `len(png.encode(images.load("my.jpg")))`. Is its PNG larger than the file you began with?
# - **Try:** a picture of pure noise, `len(png.encode(torch.rand(3, 100, 150)))`. What does PNG make of it, and why?
# - **Read:** Wang and Bovik on the mean squared error, linked above: 20 pages, many pictures, no hard mathematics.
