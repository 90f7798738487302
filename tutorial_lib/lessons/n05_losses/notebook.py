# %% [markdown]
# # 05 · Losses
#
# Every fit so far asked one thing of each pixel: how far off are you, squared? Eyes ask something else. This notebook
# tries five answers to the question what $D$ in $D + \lambda R$ should be, finds out what each of them forgives, and
# lets you judge the results without knowing which is which.
#
# | | |
# |---|---|
# | **You will** | tell losses by their slopes, mend a formula, fit with your own loss, judge five files blind |
# | **Time** | 35 minutes, 21 of them for five exercises |
# | **In a three-hour workshop** | 15 minutes: 05.1 and 05.2; pass over what "may be skipped" |
# | **You need** | a little PyTorch; no earlier notebook. For one of the judges, LPIPS, weights of 5 MB; saved numbers stand in |

# %%
import math
from itertools import combinations

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim

from tutorial_lib import codecs, images, losses, metrics, plots, widgets
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
from tutorial_lib.lessons.n05_losses import figures, judges, sweep

torch.set_num_threads(1)  # networks as small as these gain nothing from more

# %% [markdown]
# ## Three strangers
#
# One value of one pixel is off by $d$. What should that cost? Here are three answers without their names, and beside
# them their slopes: how hard each one pulls at the pixel.
#
# **Which one is $|d|$, which $d^2$, which $\log \cosh d$?** And which of them would rather have ten pixels a little wrong
# than one pixel badly wrong? Write three letters, "ABC" say, for $|d|$, $d^2$ and $\log \cosh d$ in this order.

# %%
figures.strangers_figure()

# %%
my_match = None

figures.match(my_match)

# %% [markdown]
# - $d^2$ pulls harder, the farther a pixel is off. It forgives small errors, and hunts large ones.
# - $|d|$ pulls at all alike. It forgives a large error, if that is rare, but never a small one.
# - $\log \cosh d$ pulls like $d^2$ where $d$ is small and like $|d|$ where it is large. It forgives both.
#
# A loss is a decision about what to forgive.

# %% [markdown]
# ## A formula with a slip
#
# The third one takes care. **What will the last line say?**

# %% tags=["nbval-check-output"]
for number in (0.5, 10.0, 100.0):
    d = torch.tensor(number, requires_grad=True)
    value = torch.log(torch.cosh(d))
    value.backward()
    print(f"d = {number:5}: log cosh d = {value.item():.3f}, slope {d.grad.item():.3f}")

# %% [markdown]
# cosh 100 is about $10^{43}$, and float32 ends at $3 \cdot 10^{38}$. One such pixel, and the fit is lost.
#
# So programs take another way, with $\mathrm{softplus}(x) = \log(1 + e^x)$, which never overflows. The paper that compared
# these losses on codecs like ours (Catania and Allegra, *Redefining Visual Quality: the impact of loss functions on
# INR-based image compression*, ICIP 2024, Eq. 6) prints
#
# $$d + \mathrm{softplus}(2d) - \ln 2$$
#
# **Is that $\log \cosh d$?**

# %%
d = torch.linspace(-2.5, 2.5, 201)
printed = d + F.softplus(2 * d) - math.log(2)
shown = {"log cosh d": (d, torch.log(torch.cosh(d))), "as printed": (d, printed)}
plots.curves(shown, "d", "loss", title="Don't believe, plot", alt="Two curves that meet at d = 0.")

# %% [markdown]
# It is not. A pixel that is too dark has a loss *below* 0, the darker the better; one that is far too bright is
# pulled back three times as hard as it should be. A slip of the pen, in one sign: what is printed is
# $2d + \log \cosh d$. The authors' programs have it right.
#
# ### 05.1 LogCosh (5 min)
#
# Start from $\cosh d = (e^d + e^{-d}) / 2$, and write its logarithm so that no $d$ is too large.


# %%
@exercise("05.1")
def log_cosh(prediction, target):
    """Mean of log cosh d over all values, d = prediction − target."""
    # F.softplus(x) is log(1 + e^x); math.log(2) is ln 2.
    ### BEGIN SOLUTION
    d = prediction - target
    return (d + F.softplus(-2 * d) - math.log(2)).mean()
    ### END SOLUTION


# %%
hint("05.1")

# %% [markdown]
# ### How large is d, anyway?
#
# Colours go from 0 to 1. Here is Chelsea the cat at 300 × 200 pixels, and a file of her that this project made with $d^2$
# as its loss. **How many of her 180,000 values will be off by more than 0.15? And what does $\log \cosh$ look like
# there?**

# %%
chelsea = images.reduce(images.sample("chelsea"), size=(200, 300))
decoded = codecs.decode(sample_file("chelsea-loss-mse.inr")).cpu()
figures.errors_figure(decoded, chelsea, log_cosh, label(log_cosh))

# %% [markdown]
# Hardly any. And where all of them are, $\log \cosh d$ is $d^2/2$: the same loss, *half as loud*. Large errors, for which it
# was made, don't happen in a picture that is any good. Keep "half as loud" in mind.

# %% [markdown]
# ## What no single pixel knows
#
# Here are four versions of her face. All have the same mean squared error. **Which one would you keep, and which one
# would you send back?**

# %%
face = images.crop(chelsea, 26, 84, 108, 116)
versions = figures.equally_wrong(face)
titles = [f"{name}: {metrics.psnr(version, face):.1f} dB" for name, version in versions.items()]
plots.pictures([face, *versions.values()], ["original", *titles], zoom=2, alt="the face of a cat")

# %% [markdown]
# No loss that asks pixel by pixel can see what you see. What is wrong is not in the pixels, it is *between* them: an edge
# that was sharp, fur that was there. So look at windows instead. Left, where the JPEG has its squared error. Right,
# where windows of 11 × 11 pixels have lost their likeness. **What does the right one mind that the left one doesn't?**

# %%
squared, unlike = figures.where_maps(versions["JPEG"], face)
shown = [images.crop(versions["JPEG"], 5, 5, *squared.shape[1:]), squared, unlike]
plots.pictures(shown, ["JPEG", "d²", "1 − SSIM"], zoom=2, alt="white where it is large")

# %% [markdown]
# The squared error is largest where contrast is high, along stripes and outlines. $1 - \mathrm{SSIM}$ is dark there: an outline
# is still an outline. It is white in the soft fur. That had little contrast, but all of it is gone.
#
# That is SSIM, the *structural similarity* (Wang et al., 2004,
# [doi 10.1109/TIP.2003.819861](https://doi.org/10.1109/TIP.2003.819861)). In each window it compares
#
# $$\mathrm{SSIM} = \frac{2 \mu_x \mu_y + c_1}{\mu_x^2 + \mu_y^2 + c_1} \cdot
# \frac{2 \sigma_{xy} + c_2}{\sigma_x^2 + \sigma_y^2 + c_2}$$
#
# - $\mu_x, \mu_y$ are the mean colours of the window in both pictures. The first factor is 1 when they agree.
# - $\sigma_x^2, \sigma_y^2$ are the variances, how much is going on; $\sigma_{xy}$ the covariance, how far both go the same
#   way. The second factor is 1 when they do, 0 when they don't care for each other.
# - $c_1 = 0.01^2$ and $c_2 = 0.03^2$ keep empty windows from dividing by zero.
#
# The mean over all windows is the picture's SSIM, 1 for a perfect copy. **Back to the four versions: which of them will
# SSIM forgive?**

# %%
terms = {"l1": losses.l1, "mse": losses.mse, "log-cosh": log_cosh, "1 − SSIM": losses.ssim_loss}
figures.forgiveness_figure(versions, face, terms, f"What each one minds (log cosh: {label(log_cosh)})")

# %% [markdown]
# MSE and log cosh find all four alike: they were made so. L1 minds the brightness a third more than the others, since every
# pixel is off there. SSIM forgives the brightness almost entirely, and noise not at all. That is not yet how you see, but it
# is nearer.
#
# ### 05.2 L1+SSIM (4 min)
#
# SSIM alone would let colours drift. So the paper adds a part of it to a loss of pixels:
#
# $$0.8 \cdot \text{mean of } |d| \; + \; 0.2 \cdot (1 - \mathrm{SSIM})$$
#
# For the SSIM take `ssim(a, b, data_range=…)` of pytorch_msssim. It wants batches, (1, 3, H, W), and to know how far colours
# go: here from 0 to 1.


# %%
@exercise("05.2")
def l1_ssim(prediction, target):
    """0.8 · L1 + 0.2 · (1 − SSIM) of two pictures (3, H, W) of colours from 0 to 1."""
    ### BEGIN SOLUTION
    similarity = ssim(prediction[None], target[None], data_range=1.0)
    return 0.8 * (prediction - target).abs().mean() + 0.2 * (1 - similarity)
    ### END SOLUTION


# %%
hint("05.2")

# %% [markdown]
# ### How loud may it be?
#
# And beside $\log \cosh$? Here is what each term says of the file from above. The gradient is how hard it pulls at all
# pixels together. **With what weight $\alpha$ would SSIM be heard beside $\log \cosh$, and not drown it?**

# %%
figures.scales_table(decoded, chelsea, terms)

# %% [markdown]
# With 0.2, as beside L1, there would be nothing left of $\log \cosh$. The paper takes $\alpha = 0.01$, and adds it up without
# a weight for the first term:
#
# $$\log \cosh d \text{ on average} \; + \; 0.01 \cdot (1 - \mathrm{SSIM})$$
#
# ### 05.3 LogCosh+SSIM (3 min, may be skipped)


# %%
@exercise("05.3")
def log_cosh_ssim(prediction, target):
    """log cosh + 0.01 · (1 − SSIM) of two pictures (3, H, W) of colours from 0 to 1."""
    ### BEGIN SOLUTION
    similarity = ssim(prediction[None], target[None], data_range=1.0)
    return log_cosh(prediction, target) + 0.01 * (1 - similarity)
    ### END SOLUTION


# %%
hint("05.3")

# %% [markdown]
# ## Fit with it
#
# The library knows losses by name, and takes yours as well. So here are two fits of the cup of coffee of notebooks 02 to
# 04: same codec, same steps, each within 5 % of 0.9 bits per pixel. One minimizes $d^2$, one *your* L1+SSIM. (About a minute.)
#
# **Which of the two will have the higher PSNR?**

# %%
losses.LOSSES["my l1+ssim"] = l1_ssim
coffee = images.reduce(images.sample("coffee"), factor=4)
steps = budget_value(quick=12, laptop=800, gpu=2000)

codec, files = codecs.get("coolchic-small"), {}
for name in ("mse", "my l1+ssim"):
    files[name] = codec.encode(coffee, bpp=0.9, loss=name, iterations=steps, progress=False)

figures.fits_table(files, coffee, label(l1_ssim))

# %%
mine = {name: codecs.decode(data).cpu() for name, data in files.items()}
widgets.swipe(*mine.values(), tuple(mine), alt="a cup of coffee with a spoon", zoom=4)

# %% [markdown]
# The first fit is better at what it minimized, and so is the second: each is the winner by its own measure. (LPIPS is a
# judge that neither of them has met. More of it below.)
#
# A cell to play in: no check looks at this loss. **What will happen to the colours with `alpha = 1`?** Set `go` to `True`.

# %%
alpha, go = 1.0, False


def other_loss(prediction, target):
    return (1 - alpha) * losses.l1(prediction, target) + alpha * losses.ssim_loss(prediction, target)


def other_fit():
    losses.LOSSES["my other loss"] = other_loss
    data = codec.encode(coffee, bpp=0.9, loss="my other loss", iterations=steps, progress=False)
    both = mine["my l1+ssim"], codecs.decode(data).cpu()
    return widgets.swipe(*both, ("α = 0.2", f"α = {alpha}"), alt="a cup of coffee", zoom=4)


other_fit() if go else None

# %% [markdown]
# Your file goes to the plane of the earlier notebooks, too. The plane shows PSNR, and your file did not fight for that.

# %%
point = metrics.bits_per_pixel(files["my l1+ssim"], coffee), metrics.psnr(mine["my l1+ssim"], coffee)
record_point("latent grids, l1+ssim", *point, picture="coffee 150x100", note="notebook 05")

stars = {star["codec"]: (star["bpp"], star["psnr"]) for star in points("coffee 150x100")}
drawing.coffee_plane(stars, coffee, {"latent grids, mse": "coolchic-small", "JPEG": "jpeg"})

# %% [markdown]
# ## Three faults, by name
#
# Before you judge, know what to look for. Each pair has an arrow at the same place, the original above. **What happened there,
# in A, in B, in C?** (In one of them something is gone. In another something is there that wasn't; its contrast is raised, above
# and below, so that you can see it.)

# %%
figures.faults_figure(figures.faults())

# %% [markdown]
# - **A, over-smoothing**: texture is gone, though edges are sharp. Fine fur costs many bits, and a squared error as small as its
#   contrast is cheap. (Latent grids, fitted with MSE.)
# - **B, ringing**: waves run along an edge, where nothing was. A sum of smooth waves can't stop at once. (COIN, a network of
#   sines.)
# - **C, aliasing**: a fine line breaks into steps and dots. Here a SIREN was asked for fewer pixels than it had learned: it
#   gives the colour *at* the middle of each pixel, not the mean over the pixel.
#
# MSE over-smooths because it may. Ringing and aliasing are the network's own doing, and no loss forbids them.

# %% [markdown]
# ## Who judges?
#
# You need judges that none of the fits has bribed. Two are in use beside PSNR:
#
# - **MS-SSIM**: SSIM on five scales, the picture halved from one to the next (Wang et al., 2003,
#   [doi 10.1109/ACSSC.2003.1292216](https://doi.org/10.1109/ACSSC.2003.1292216)). Both sides need more than 160 pixels.
# - **LPIPS**: how far the picture's features in a network for recognizing things are from the original's (Zhang et al.,
#   2018, [arXiv 1801.03924](https://arxiv.org/abs/1801.03924)). 0 is a perfect copy. That network has weights of its own, 5 MB,
#   which this notebook doesn't download unasked: `metrics.lpips_network("squeeze", "cpu")` does. Without them you see saved
#   numbers, and "n/a" for your own files.
#
# MS-SSIM has an odd scale. **Which step is larger: from 0.90 to 0.95, or from 0.990 to 0.995?**

# %%
for similarity in (0.90, 0.95, 0.98, 0.99, 0.995):
    print(f"MS-SSIM {similarity:.3f}: {1 - similarity:.3f} are missing")

# %% [markdown]
# Both halve what is missing. So one counts in decibels, as with PSNR, and each halving is worth 3 dB:
#
# $$-10 \, \log_{10}(1 - v)$$
#
# where $v$ is the MS-SSIM.
#
# ### 05.4 MS-SSIM in decibels (3 min, may be skipped)
#
# A perfect copy has $v = 1$, or a hair more when sums were rounded. Give `math.inf` then.


# %%
@exercise("05.4")
def decibels(similarity):
    """A similarity v, a number up to 1, in dB."""
    ### BEGIN SOLUTION
    distance = 1 - similarity
    return -10 * math.log10(distance) if distance > 0 else math.inf
    ### END SOLUTION


# %%
hint("05.4")

# %% tags=["nbval-check-output"]
for similarity in (0.90, 0.95, 0.99, 0.995, 1.0):
    print(f"MS-SSIM {similarity:.3f} is {decibels(similarity):.1f} dB")

# %% [markdown]
# ## Judge blind
#
# Now you. Five files of Chelsea, made by this project with the five losses: the same codec (COOL-CHIC v1's networks), as
# many steps, the same rate to within 3 %. They are decoded here and now. The letters tell nothing, and your neighbour has
# others.
#
# **Which one is best? Which is worst?** Press a picture and hold it: the original takes its place. Choose another part, too.

# %%
names = ("l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim")
test = judges.blind_test({name: sample_file(f"chelsea-loss-{name}.inr") for name in names}, chelsea)


def look(part="eye"):
    return test.look(part)


widgets.explore(look, part=list(judges.PARTS))

# %% [markdown]
# Write your ranking down before you go on: five letters, the best first, "ABCDE" say. You will see how good a judge you are, or
# how good they are.

# %%
my_ranking = None

# %% [markdown]
# And this is what the metrics say, still without names. **Do they agree with each other? With you?**

# %%
judgement = judges.judge(test, decibels)
judges.judges_table(test, judgement, label(decibels))

# %% [markdown]
# ### 05.5 How far two judges agree (6 min, may be skipped)
#
# A ranking of five says of each *pair* which one is better, and there are ten pairs. So count the pairs that two rankings put
# into the same order: all ten for equal rankings, none for reversed ones, five or so for two that know nothing of each
# other.


# %%
@exercise("05.5")
def agreement(first, second):
    """Share of the pairs, 0 to 1, that rankings such as "CADEB" and "ACDBE" put into the same order."""
    # combinations(first, 2) gives all pairs, the better one in front.
    # second.index(letter) is a letter's place.
    ### BEGIN SOLUTION
    pairs = list(combinations(first, 2))
    alike = [second.index(better) < second.index(worse) for better, worse in pairs]
    return sum(alike) / len(pairs)
    ### END SOLUTION


# %%
hint("05.5")

# %% [markdown]
# Now open the letters.

# %%
judges.reveal(test, judgement, my_ranking, agreement, label(agreement))

# %% [markdown]
# What these five files say:
#
# - MS-SSIM and LPIPS rank both files with an SSIM term first, as the paper reports. No fit had LPIPS in it.
# - PSNR ranks mse first. Who minimizes what is measured, wins.
# - mse and log-cosh stand side by side for every judge. It is the same loss, half as loud.
#
# One picture, one rate, one seed: that is no verdict. But look again, now that you know. Choose any two. **Where did the
# SSIM term keep what mse gave up? And is it the fur that was there?**


# %%
letters = {name: letter for letter, name in test.names().items()}


def compare(left="mse", right="log-cosh+ssim"):
    pair = [images.crop(test.decoded[letters[name]], *judges.PARTS["brow"]) for name in (left, right)]
    return widgets.swipe(*pair, (left, right), alt="Chelsea's brow", zoom=6)


widgets.explore(compare, left=list(names), right=list(names))

# %% [markdown]
# Hair where there were patches, but not every hair is in its place. **Would people like that?** SSIMULACRA 2 is a metric
# that was fitted to people's judgements of compressed pictures (Sneyers, 2022,
# [repository](https://github.com/cloudinary/ssimulacra2)). 100 is a perfect copy.

# %%
for name in names:
    print(f"{name}: {metrics.ssimulacra2(test.decoded[letters[name]], chelsea):.0f}")

# %% [markdown]
# This judge prefers mse, and has l1+ssim last. Four judges, and no two rankings are the same.

# %% [markdown]
# ## Five losses, three architectures
#
# One picture is an anecdote. Here is the whole experiment in small, in the form of the paper's Fig. 2: means over the
# pictures, each file real, made by this project with `inr evaluate` (the whole command is in
# [MEASUREMENTS.md](../MEASUREMENTS.md)).
#
# The paper reports that the SSIM term raises MS-SSIM and lowers LPIPS for COOL-CHIC. **Do you find that here? What does it
# cost in PSNR?**

# %%
rows = sweep.sweep_rows()
sweep.sweep_figure(rows)

# %% [markdown]
# You do. With the SSIM term, at 1 bit per pixel and on average over the three pictures:
#
# | | MS-SSIM | LPIPS | PSNR |
# |---|--:|--:|--:|
# | NIF, log-cosh → log-cosh+ssim | +2.3 dB | −0.025 | −0.2 dB |
# | NIF, l1 → l1+ssim | +1.7 dB | −0.035 | +0.4 dB |
# | COOL-CHIC v1, log-cosh → log-cosh+ssim | +0.7 dB | −0.007 | −0.8 dB |
# | COOL-CHIC v1, l1 → l1+ssim | +0.9 dB | −0.008 | −0.3 dB |
# | COOL-CHIC v2, log-cosh → log-cosh+ssim | +1.0 dB | −0.006 | −0.6 dB |
# | COOL-CHIC v2, l1 → l1+ssim | +1.0 dB | −0.014 | −0.3 dB |
#
# Less so at low rates: at 0.65 bits per pixel COOL-CHIC v1 gains only 0.1 to 0.2 dB of MS-SSIM, and pays 1 dB of PSNR.
#
# What was measured: Kodak 3, 15 and 23 at 288 × 192, 300 steps a fit and one seed, on two cores without a GPU. That is
# little. With more steps all lines rise, COOL-CHIC's most: at 288 × 192 its networks alone take a tenth to a quarter of a
# bit per pixel, and 300 steps don't make up for that.

# %% [markdown]
# ## The trap of equal λ
#
# The paper did not compare at equal rate. It fitted all losses with the same $\lambda$ in $D + \lambda R$. Here is what five
# losses say of *one* file. **With the same λ for all, which one will spend the most bits, and which one the fewest?**

# %%
five = {name: losses.LOSSES[name] for name in names}
figures.scales_table(decoded, chelsea, five)

# %% [markdown]
# The louder $D$ is, the less a bit matters beside it. L1 is some twenty times as loud as MSE, and $\log \cosh$ half as loud:
# with $\log \cosh$ instead of $d^2$, λ has in truth been doubled. So at equal λ one compares mostly how loud the losses are.
#
# Both ways side by side: hollow at equal λ, as the paper has it, filled at equal rate.

# %%
sweep.gains_figure(rows)

# %% [markdown]
# $\log \cosh$ makes files a quarter smaller than $d^2$, and so looks worse in every metric. L1 makes them six times
# as large, and so looks best of all. With the same bits, both are where they belong: near MSE. The gain of the SSIM term is
# the only one here that outlives the change.
#
# So when somebody shows you that a loss is better: **at what rate?**

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 06 turns weights into bytes: quantization, entropy coding, the file.
# - **In the library:** your losses are in [`losses.py`](../tutorial_lib/losses.py), the judges in
#   [`metrics.py`](../tutorial_lib/metrics.py), the sweep is
#   [`evaluation/sweeps.py`](../tutorial_lib/evaluation/sweeps.py).
# - **Try:** `inr encode phone.jpg --loss l1+ssim` on a picture of yours.
# - **Try:** another α in the cell to play in, 0.05 or 1. What happens to the colours?
# - **Try:** `"mse+lpips"`, a judge as a loss. Who may judge then?
# - **Read:** Catania and Allegra, ICIP 2024, named above. Their Eq. 6 you know already; their Eq. 5 has a square root around
#   the MSE that their programs don't take.
# - **Read:** Zhao et al., *Loss functions for image restoration with neural networks*, 2017,
#   [arXiv 1511.08861](https://arxiv.org/abs/1511.08861): whence L1 with MS-SSIM.
# - **Read:** Blau and Michaeli, *The perception-distortion tradeoff*, 2018,
#   [arXiv 1711.06077](https://arxiv.org/abs/1711.06077): why no judge can please all others.
