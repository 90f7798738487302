# %% [markdown]
# # 07 · Evaluation
#
# You have made files in every notebook, and now and then one was "better". Better than what, at what rate, by which average,
# on which part of the picture? This notebook compares codecs so that the answer holds. It also shows how to make it come out as
# you like.
#
# | | |
# |---|---|
# | **You will** | draw a rate-distortion curve, compute BD-rate, average in two ways, choose crops, enter a file into a contest |
# | **Time** | 40 minutes, 23 of them for four exercises |
# | **In a three-hour workshop** | 15 minutes: 07.1, and the contest; pass over what "may be skipped" |
# | **You need** | a little PyTorch and NumPy; no earlier notebook, nothing to download |

# %%
import math

import numpy as np
import torch
import torch.nn.functional as F

from tutorial_lib import codecs, evaluation, images, metrics, widgets
from tutorial_lib.course import drawing, exercise, hint, label, points, progress, sample_file, solution
from tutorial_lib.lessons.n07_evaluation import contest, figures, sweep

torch.set_num_threads(1)

# %% [markdown]
# ## Two files
#
# The cup of coffee at 150 × 100 pixels, twice. One file has more decibels, the other one fewer bytes. **Which one is better?**

# %%
coffee = images.reduce(images.sample("coffee"), factor=4)
height, width = coffee.shape[1:]

first, second = sample_file("coffee-coin-1.4.inr"), sample_file("coffee-coolchic-0.9.inr")
pictures = [codecs.decode(data).cpu() for data in (first, second)]
says = [f"{len(d):,} bytes, {metrics.psnr(p, coffee):.1f} dB" for d, p in zip((first, second), pictures, strict=True)]
widgets.swipe(*pictures, (f"A: {says[0]}", f"B: {says[1]}"), alt="a cup of coffee", zoom=4)

# %% [markdown]
# You can't say. In the plane of rate and quality, a file is better for certain only if it lies above *and* to the left.

# %%
places = {
    name: (metrics.bits_per_pixel(data, coffee), metrics.psnr(picture, coffee))
    for name, data, picture in zip("AB", (first, second), pictures, strict=True)
}
figures.two_points_figure(places)

# %% [markdown]
# What you can ask: how good would B's codec be with as many bytes as A? So encode at several rates, and compare *curves*.

# %% [markdown]
# ## A curve
#
# ### 07.1 A curve from real files (6 min)
#
# Each point is one file. Its coordinates are
#
# $$\text{rate} = \frac{8 \cdot \text{bytes}}{H \cdot W}, \qquad \text{PSNR} = -10 \, \log_{10} \, \mathrm{mean}\,(\hat x - x)^2$$
#
# - $\text{bytes}$ is the length of what the decoder reads. $H \cdot W$ are the pixels.
# - $x$ is the picture, and $\hat x$ the decoded one, *as anybody will see it*: in 256 levels. `images.quantize_8bit` rounds.
#
# A codec has two methods. `codec.encode(picture, bpp=rate)` gives the bytes of a file, `codec.decode(data)` the picture in it.
# **What you ask for is not what you get**: codecs come near the rate, as their settings allow.


# %%
@exercise("07.1")
def curve(codec, picture, rates):
    """A list of points (bits per pixel, PSNR in dB), one for each rate asked for."""
    ### BEGIN SOLUTION
    height, width = picture.shape[1:]
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        shown = images.quantize_8bit(codec.decode(data))
        error = (shown - picture).square().mean().item()
        points.append((8 * len(data) / (height * width), -10 * math.log10(error)))
    return points
    ### END SOLUTION


# %%
hint("07.1")

# %% [markdown]
# Seven codecs. The classical ones encode here and now. For the networks there are files that this project made. (Ten seconds.)
#
# **Where will the networks be: below JPEG, between JPEG and AVIF, above?**

# %%
shelves = figures.coffee_codecs()
lines = {name: curve(codec, coffee, codec.rates) for name, codec in shelves.items()}
print(f"{sum(map(len, lines.values()))} files ({label(curve)})")

# %% [markdown]
# Point at a dot: its bytes, and the cup that comes out of them. Click a name to hide its line. Stars are yours, from earlier
# notebooks.

# %%
figures.coffee_plane(lines, shelves, coffee, label(curve), points("coffee 150x100"))

# %% [markdown]
# So B's codec is better than A's: at A's rate it has some 2 dB more. (On this picture. It is small, and the files of the networks
# took minutes.)

# %% [markdown]
# ## How much better, in one number?
#
# AVIF's curve is above WebP's. Read it sideways: for the same PSNR, how many per cent of the bytes does AVIF save? **Is it the
# same everywhere?**

# %%
pair = {name: lines[name] for name in ("WebP", "AVIF")}
figures.gaps_figure(pair)

# %% [markdown]
# It is not. So take a mean over all PSNRs that both have. But of what? **At one PSNR a codec takes half the bytes, −50 %, at
# another twice as many, +100 %. Is it better or worse, on average?**
#
# Neither, one would say. But the mean of −50 and +100 is +25. Logarithms know better: those of ½ and 2 cancel. In the figure
# the axis of rates is logarithmic, and the mean you want is that of the *lengths of the arrows*.
#
# ### 07.2 BD-rate by hand (7 min, may be skipped)
#
# $$\text{BD-rate} = \exp\left(\frac{1}{b - a} \int_a^b \bigl(\ln r_2(q) - \ln r_1(q)\bigr) \, dq \right) - 1$$
#
# - $r_1(q)$ is the rate at which the *anchor* reaches the PSNR $q$, and $r_2(q)$ that of the codec under test.
# - $a$ and $b$ are the ends of the range that both curves have. The integral by $b - a$ is a mean.
#
# `np.transpose(points)` gives two arrays, rates and PSNRs. `np.interp(q, xs, ys)` reads a line through the points `(xs, ys)` at
# all places `q`, and `np.linspace` makes places.
#
# (Bjøntegaard, VCEG-M33, 2001. He drew a cubic through four points, today it is cubic pieces. Straight lines will do here.)


# %%
@exercise("07.2")
def bd_rate(anchor, test):
    """Per cent of rate that test takes more (+) or less (−) than anchor; points (bpp, PSNR), sorted."""
    ### BEGIN SOLUTION
    anchor_rate, anchor_psnr = np.transpose(anchor)
    test_rate, test_psnr = np.transpose(test)
    low = max(anchor_psnr[0], test_psnr[0])
    high = min(anchor_psnr[-1], test_psnr[-1])
    q = np.linspace(low, high, 1000)
    gap = np.interp(q, test_psnr, np.log(test_rate)) - np.interp(q, anchor_psnr, np.log(anchor_rate))
    return 100 * (math.exp(gap.mean()) - 1)
    ### END SOLUTION


# %%
hint("07.2")

# %%
my_guess = None  # AVIF against WebP, in per cent: -10, say

drawing.reveal("AVIF against WebP", my_guess, bd_rate(lines["WebP"], lines["AVIF"]), " %")

# %% [markdown]
# And everybody against WebP, beside the package [bjontegaard](https://github.com/FAU-LMS/bjontegaard), which the library takes.
# **Will straight lines be far off?**

# %%
figures.bd_table(lines, "WebP", bd_rate, label(curve, bd_rate))

# %% [markdown]
# Hardly. (The other way round the number is another: half the rate is −50 %, twice the rate +100 %. So say which one is
# the anchor.)
#
# ### A mean needs something to be a mean of
#
# JPEG 2000 and WebP are almost even there. **At low rates too? At high ones?** Here is the same BD-rate from 1.5 dB at a time:

# %%
pair = {name: lines[name] for name in ("WebP", "JPEG 2000")}
figures.windows_figure(pair, bd_rate, label(curve, bd_rate))

# %% [markdown]
# The curves cross. Who may choose the range, chooses the winner; and who has only a short one, has it chosen by chance. So the
# library wants 4 dB that both have. Against JPEG, which starts low, COOL-CHIC's four files don't:

# %%
try:
    print(evaluation.bd_rate(lines["JPEG"], lines["COOL-CHIC"]))
except evaluation.EvaluationError as error:
    print(f"refused: {error}")

# %% [markdown]
# What to do then: files at more rates, or a nearer anchor. Not: draw the curve on beyond its last point.

# %% [markdown]
# ## Two averages, two winners
#
# One picture is an anecdote. Here are three, by the same codec, twice. **A** gives each picture the same rate, **B** the same
# quality setting. Both spend the same bits on average.
#
# **Who is better?**

# %%
ways = figures.two_ways()
figures.ways_table(ways)

# %% [markdown]
# A is better where both are good, B where both are bad.
#
# ### 07.3 Two averages (4 min, may be skipped)
#
# Papers use two ways to make one number of many pictures. With $e_i$ the mean squared error of picture $i$, of $n$:
#
# $$\frac1n \sum_i \bigl(-10 \, \log_{10} e_i\bigr) \qquad \text{and} \qquad -10 \, \log_{10} \Bigl(\frac1n \sum_i e_i \Bigr)$$
#
# The mean of the PSNRs, and the PSNR of the mean. **Which one will like A?**


# %%
@exercise("07.3")
def two_averages(errors):
    """(mean of the PSNRs, PSNR of the mean error), in dB; errors is a NumPy array of mean squared errors."""
    ### BEGIN SOLUTION
    return (-10 * np.log10(errors)).mean(), -10 * np.log10(errors.mean())
    ### END SOLUTION


# %%
hint("07.3")

# %%
figures.winners_table(ways, two_averages, label(two_averages))

# %% [markdown]
# The same six files, and the winner changes. The mean of PSNRs counts a decibel alike wherever it is gained. The PSNR of
# the mean error asks for the worst picture first: where the error is large, it fills the sum.
#
# Neither is wrong. Both are in use, and on the Kodak set the second one is up to half a decibel lower, which is more than many a
# paper gains. So say which one, and don't draw both into one figure.

# %% [markdown]
# ## Choose your crop
#
# A page is small, so most papers show crops, and somebody chose them. Here are COIN and WebP at nearly the same bytes.
# **Which part would you show, if COIN were yours?**

# %%
rivals = {name: shelves[name].decode(shelves[name].encode(coffee, bpp=0.9)) for name in ("COIN", "WebP")}
says = [f"{name}, {metrics.psnr(picture, coffee):.1f} dB" for name, picture in rivals.items()]
widgets.swipe(*rivals.values(), tuple(says), alt="a cup of coffee on a table", zoom=4)

# %% [markdown]
# ### 07.4 The crop that flatters (6 min, may be skipped)
#
# Don't search by eye. Of all crops of `side` × `side` pixels, find the one in which your picture has most squared error *less*
# than theirs.
#
# 1. How much larger is the squared error of theirs, at each pixel? That is a map (H, W), the mean of the colours.
# 2. `F.avg_pool2d(values[None, None], side, stride=1)[0, 0]` is the mean of every window of a map.
# 3. Where is the largest? `.argmax()` counts along the rows.


# %%
@exercise("07.4")
def flattering_crop(ours, theirs, original, side):
    """(top, left) of the crop in which ours beats theirs most; pictures (3, H, W)."""
    ### BEGIN SOLUTION
    gain = (theirs - original).square().mean(0) - (ours - original).square().mean(0)
    windows = F.avg_pool2d(gain[None, None], side, stride=1)[0, 0]
    return divmod(windows.argmax().item(), windows.shape[1])
    ### END SOLUTION


# %%
hint("07.4")

# %% [markdown]
# First you are COIN's author. Then swap the two, and you are WebP's. **What will the second row say?**

# %%
side = 28
coin, webp = rivals.values()
places = {
    "COIN's paper": flattering_crop(coin, webp, coffee, side),
    "WebP's paper": flattering_crop(webp, coin, coffee, side),
}
figures.stories_figure(rivals, coffee, places, side, label(flattering_crop))

# %% [markdown]
# Two true stories from the same two files: clean edges here, quiet wood there.
#
# How to choose, then? Before you look: a place that the *original* names, the same for all codecs. And show where you lose,
# too.

# %%
places = {"most going on": figures.busiest_crop(coffee, side)}
figures.stories_figure(rivals, coffee, places, side, "chosen by the original's variance")

# %% [markdown]
# ## All codecs, several pictures
#
# Now the whole comparison in small: three Kodak pictures at 384 × 256, every file real, encoded and decoded by
# this project. Networks are in colour, classical codecs grey and dashed. The dotted lines are what the networks' authors
# published, on all 24 pictures at 768 × 512: larger pictures, which take fewer bits per pixel, and longer fits. They are there
# for orientation. **Why should you not compute a BD-rate between a line and the dots of its colour?**

# %%
everything = sweep.sweep_rows()
rows = sweep.kodak(everything)
sweep.sweep_figure(rows)

# %% [markdown]
# As one number each, by both averages. **Does the order change?**

# %%
sweep.bd_rates_table(rows)

# %% [markdown]
# "n/a" means less than 4 dB in common. And picture by picture, with Chelsea, the coffee and the astronaut at their own sizes.
# **How far apart are the numbers of one codec?**

# %%
sweep.pictures_table(everything)

# %% [markdown]
# A BD-rate without its pictures says little.
#
# ### And what does it cost?
#
# A file is encoded once and decoded often. **How much longer than JPEG may a decoder take, for a third fewer bytes?**

# %%
sweep.cost_figure(rows)

# %%
sweep.cost_table(rows)

# %% [markdown]
# A multiply-add a pixel is what a decoder costs *by design*; seconds are what it costs on one machine, in one program. JPEG's
# program has been made faster for thirty years. The third column is the fit: networks are encoded by training.

# %% [markdown]
# ## The challenge
#
# The best picture in 1,700 bytes: the cup of coffee, 150 × 100 pixels, every byte counted. First prize: the best PSNR. Second
# prize: the best SSIMULACRA 2, a metric fitted to people's judgements. What counts is the picture that a decoder makes of
# the file.
#
# **So will a JPEG do, if you rename it?**

# %% tags=["nbval-check-output"]
renamed = codecs.get("jpeg").encode(coffee, bpp=0.9)
figures.enter(renamed)

# %% [markdown]
# Somebody to beat: two files of this project.

# %%
figures.enter_samples()

# %% [markdown]
# Now yours. Choose:
#
# - `codec`: "coolchic-small", "coin", "siren", "nif" and others.
# - `lmbda`: λ, for the latent grids of the COOL-CHIC codecs. `None` takes as many bytes as are allowed.
# - `loss`: "mse", "l1+ssim", … **Which loss for which prize?**
# - `steps`: of the fit; `None` takes what the budget affords, two or three minutes on a laptop.
# - `seed`: of the first weights. Luck is allowed.
#
# Set `begin` to `True`. The fit runs beside the notebook: go on reading while its line moves. When it is done, the file is
# entered.

# %%
my_team = "we"
my_recipe = contest.Recipe(
    codec="coolchic-small",
    lmbda=None,
    loss="mse",
    steps=None,
    seed=0,
)
begin = False

contest.run(my_recipe, my_team, begin)

# %% [markdown]
# The leaderboard follows: whoever enters a file, appears here.

# %%
contest.live_board()

# %% [markdown]
# You have a file of another origin, from a terminal or from another team? Put its path into `my_file`, "mine.inr" say. A path is
# meant from the notebook's own folder, and a terminal may have opened in another one.
#
# ```
# inr challenge task -o coffee.png
# inr encode coffee.png --codec coolchic-small --bpp 0.85 --loss l1+ssim -o mine.inr
# inr challenge score mine.inr --team "Night Owls"
# inr challenge board
# ```

# %%
my_file = None

figures.enter(my_file, my_team)

# %% [markdown]
# The leaderboard keeps the files, and decodes and measures them again whenever it is shown. So an edited number shows, and a
# picture that is there already, pixel for pixel, counts for whoever brought it first. A class shares one board through a folder
# that all can write to: set `INR_LEADERBOARD_FILE` to a file in it.

# %% [markdown]
# ## How papers mislead
#
# Mostly without a lie. Here are COIN's four files once more, in six stories. **Which of them would you have believed?**

# %%
figures.stories_table(lines, shelves, coffee, bd_rate)

# %% [markdown]
# So ask, of any figure and any table:
#
# - **Which anchor?** "JPEG" is not one codec: two published JPEG curves on the Kodak set differ by 12 % in BD-rate. Look for
#   encoder, version and settings.
# - **Which bytes?** A header of twenty bytes is nothing in a photograph, and much in a thumbnail. An entropy is no file.
#   (COIN's published rates are those of its float16 weights alone.)
# - **Which range?** Where do the curves end, and do they cross?
# - **Which average,** over which pictures, at which size?
# - **Who chose the crops?**
# - **How long did encoding take,** on what? An hour for each picture, or the seconds of a standard's fastest setting as rival?

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **In the library:** `curve`, `bd_rate` and both averages are in
#   [`evaluation/curves.py`](../tutorial_lib/evaluation/curves.py), the judges in
#   [`metrics.py`](../tutorial_lib/metrics.py), the rivals with their settings in
#   [`codecs/classical.py`](../tutorial_lib/codecs/classical.py), the contest in
#   [`course/challenge.py`](../tutorial_lib/course/challenge.py).
# - **Try:** `inr evaluate --images phone.jpg --codecs siren jpeg avif --rates 0.5 1 2 -o results/mine`, then
#   `inr report results/mine`.
# - **Try:** `flattering_crop` with a side of 12, then of 80. What happens to the difference, and why?
# - **Try:** the challenge with `loss="l1+ssim"`. Do PSNR and SSIMULACRA 2 agree on the winner?
# - **Read:** Bjøntegaard, *Calculation of average PSNR differences between RD-curves*, VCEG-M33, 2001: three pages.
# - **Read:** Barman, Martini and Reznik, *Bjøntegaard Delta (BD): a tutorial overview of the metric, evolution, challenges, and
#   recommendations*, 2024, [arXiv 2401.04039](https://arxiv.org/abs/2401.04039).
# - **Read:** Herglotz et al., *The Bjøntegaard bible: why your way of comparing video codecs may be wrong*, 2024,
#   [arXiv 2304.12852](https://arxiv.org/abs/2304.12852): whence the package, and why cubic pieces.
