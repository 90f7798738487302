# %% [markdown]
# # 00 · Welcome
#
# A picture can be stored as a small neural network. In this course you build such a codec, from the first
# layer to a file whose every byte is counted.
#
# | | |
# |---|---|
# | **You will** | see a file that beats JPEG, watch a network learn, make a file of a photograph of your own |
# | **Time** | 15 minutes |
# | **In a three-hour workshop** | 10 minutes: everything but the photograph |
# | **You need** | a little Python; no GPU, nothing to download |
#
# Run a cell with Shift + Enter. The first one sets things up.

# %%
from tutorial_lib import codecs, images, plots, widgets
from tutorial_lib.course import budget_value, exercise, hint, label, live, machine, progress, sample_file, solution
from tutorial_lib.lessons.n00_welcome import figures, films

# %% [markdown]
# ## Does it run here?

# %%
machine()

# %% [markdown]
# Click the line to see what was looked at. Where something is missing, its cure stands beside it.

# %% [markdown]
# ## A cat in nine kilobytes
#
# Two files of one photograph, equally long. One of them is JPEG's. The other holds no pixels, but small grids of numbers
# and the weights of a tiny network that paints the picture from them. **Which one is which?** Move the pointer across.

# %%
chelsea = images.sample("chelsea")
pyramid, jpeg = sample_file("chelsea-6-pyramid.inr"), codecs.get("jpeg")
rival = jpeg.encode(chelsea, bpp=8 * len(pyramid) / chelsea[0].numel())

widgets.swipe(codecs.decode(pyramid).cpu(), jpeg.decode(rival), ("A", "B"), alt="a cat", zoom=2)

# %%
films.against_jpeg(chelsea, pyramid, zoom=1.5)

# %% [markdown]
# A is the network: 2 dB better than JPEG, and better than WebP. AVIF, which many people have worked on for many years, is
# still ahead. In this course you take A apart, and build what it is made of.

# %% [markdown]
# ## Watch one learn
#
# It all begins with a simpler network. It gets a place (x, y), and has to answer with the colour there. At first it knows
# nothing. **What will it learn first: the eyes, the fur, or something else?** Run the cell, and keep looking. (About 20
# seconds.)

# %%
cat = images.crop(chelsea, 24, 120, 192, 240)
films.learn(images.reduce(cat, factor=1.6), steps=budget_value(quick=8, laptop=600, gpu=1500))

# %% [markdown]
# The colour first, then the eyes, out of a noise that fades; the finest hairs come last. What you saw *is* the encoder: the
# network learned this one picture by heart, and its weights are the file. Notebook 02 builds it.

# %% [markdown]
# ## The whole way
#
# Here is such a file of five kilobytes, with its weights rounded and packed, and each step on the way to it and back.

# %%
data = sample_file("chelsea.inr")
decoded = codecs.decode(data).cpu()
figures.journey(cat, data)

# %% [markdown]
# 1. A **picture** is samples of a function: ask at (x, y), get (R, G, B).
# 2. A small **network** learns that function. Training it is the encoder: there are no weights to download.
# 3. Its **weights** are rounded, and written as few **bytes** as they allow.
# 4. The decoder reads the weights and asks the network for every pixel.
#
# The idea is COIN's (Dupont et al., 2021, [arXiv 2103.03123](https://arxiv.org/abs/2103.03123)). In its plainest form, as
# here, it does not beat JPEG yet, which has 31.1 dB with as many bytes. What is still missing, the notebooks add:

# %%
figures.road_map()

# %% [markdown]
# ## How exercises work
#
# Write your code where it says `NotImplementedError`, run the cell, and it answers: what is right, or what is
# likely wrong. Skip one, or get it wrong, and nothing breaks: later cells then use the library's version. (For an experiment,
# copy the cell and leave its first line, `@exercise(…)`, out: then nothing is checked, and yours is used.)
#
# ### 00.1 How many times smaller? (3 min)
#
# How many times smaller is a file than the raw picture, which stores red, green and blue of each pixel in
# one byte each?

# %%
@exercise("00.1")
def times_smaller(data, height, width):
    """Raw size over file size, for the bytes of a file and a picture of height × width pixels."""
    # Count both sizes in bytes, the file's header included; then divide.
    ### BEGIN SOLUTION
    raw = 3 * height * width
    return raw / len(data)
    ### END SOLUTION

# %%
hint("00.1")

# %% tags=["nbval-check-output"]
print(f"{times_smaller(data, 192, 240):.1f} times smaller, computed with: {label(times_smaller)}")

# %% [markdown]
# ## Ask between the pixels
#
# The network answers at any (x, y), not only where pixels were. What does it say if we ask 4 times as
# densely? Here is an eye: on the left with every pixel as a square, on the right as the network paints it.

# %%
eye = {"top": 56, "left": 8, "height": 64, "width": 96}
squares = images.crop(plots.zoomed(decoded, 4), *(4 * side for side in eye.values()))
large = codecs.decode(data, size=(4 * 192, 4 * 240)).cpu()
smooth = images.crop(large, *(4 * side for side in eye.values()))

titles = ["pixels, 4 times as large", "the network, asked 4 times as densely"]
plots.pictures([squares, smooth], titles, alt="an eye")

# %% [markdown]
# **Is that new detail?** No: nobody told the network what lies between the pixels. It draws a smooth line
# from one to the next, and sometimes a ripple of its own.

# %% [markdown]
# ## Now your own photograph (5 min, may be skipped)
#
# Choose a file, then run the cells below it, again if you like. It goes to the machine that runs this notebook, and nowhere
# else. A small version of it becomes a pyramid as A was, in 20 to 30 seconds. No photograph at hand? A sample stands in.
# (Larger than 10 megabytes? `live.Photograph("holiday.jpg")` takes a path.)

# %%
photograph = live.Photograph()
photograph

# %%
mine = photograph.picture(instead=images.sample("astronaut"), pixels=24_000)

# %%
file = films.compress(mine, iterations=budget_value(quick=12, laptop=400, gpu=1000))

# %% [markdown]
# **Against JPEG, with as many bytes: where do you see the difference first?**

# %%
films.against_jpeg(mine, file, zoom=3)

# %% [markdown]
# ## Where you are
#
# What you solve is remembered on this machine.

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **Next:** notebook 01 looks at pictures as functions, and at what a fair comparison counts.
# - **Try:** a stretched cat, in the cell below. What happens to the hair?
# - **Try:** in a terminal, `inr encode` makes a file of a picture at its full size, and `inr decode` the picture again.
# - **Read:** the four pages of COIN, linked above.

# %%
plots.pictures([codecs.decode(data, size=(100, 700)).cpu()], ["decoded at 700 × 100"], alt="a stretched cat")
