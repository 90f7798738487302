# %% [markdown]
# # 00 · Welcome
#
# A picture can be stored as a small neural network. In this course you build such a codec, from the first
# layer to a file whose every byte is counted.
#
# | | |
# |---|---|
# | **You will** | see the whole way once, decode a small file at any size, try your first exercise |
# | **Time** | 10 minutes |
# | **In a three-hour workshop** | 10 minutes: everything |
# | **You need** | a little Python; no GPU, nothing to download |
#
# Run a cell with Shift + Enter. The first one sets things up.

# %%
from tutorial_lib import codecs, images, plots, widgets
from tutorial_lib.course import exercise, hint, label, machine, progress, sample_file, solution
from tutorial_lib.lessons.n00_welcome import figures

# %% [markdown]
# ## Does it run here?

# %%
machine()

# %% [markdown]
# Click the line to see what was looked at. Where something is missing, its cure stands beside it.

# %% [markdown]
# ## A cat in five kilobytes
#
# One of these two is the original. The other comes from a file about as long as two pages of plain text.
# **Which is which?** Move the pointer across the picture.

# %%
data = sample_file("chelsea.inr")
decoded = codecs.decode(data).cpu()
original = images.crop(images.sample("chelsea"), 24, 120, 192, 240)

widgets.swipe(original, decoded, ("A", "B"), alt="a cat's face, eyes and fur", zoom=3)

# %% [markdown]
# B is the decoded one: look at the finest hairs. The file holds no pixels. It holds the weights of a network
# that was trained on this one picture, and on nothing else.

# %% [markdown]
# ## The whole way

# %%
figures.journey(original, data)

# %% [markdown]
# From left to right, with the notebook that opens each step:
#
# 1. A **picture** is samples of a function: ask at (x, y), get (R, G, B). *(01)*
# 2. A small **network** learns that function. Training it *is* the encoder: there are no weights to
#    download. *(02)*
# 3. Its **weights** are rounded, and written as few **bytes** as they allow.
# 4. The decoder reads the weights and asks the network for every pixel.
#
# The idea is COIN's (Dupont et al., 2021, [arXiv 2103.03123](https://arxiv.org/abs/2103.03123)).

# %% [markdown]
# ## How exercises work
#
# Write your code where it says `NotImplementedError`, run the cell, and it answers: what is right, or what is
# likely wrong. Skip one, or get it wrong, and nothing breaks: later cells then use the library's version.
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
# from one to the next, and sometimes a ripple of its own. Here is all of it, at 1× and at 4×.

# %%
plots.pictures([decoded, large], ["1×", "4×, from the same file"], alt="a cat's face")

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
# - **Try:** decode at a size of your own, `codecs.decode(data, size=(100, 700))`. What happens to the cat?
# - **Try:** what does JPEG give with as many bytes? `codecs.get("jpeg").encode(original, bpp=0.89)`. The
#   answer may surprise you; notebook 02 comes back to it.
# - **Try:** in a terminal, `inr encode` fits a network to a picture of your own.
# - **Read:** the four pages of COIN, linked above.
