# %% [markdown]
# # 09 · Any signal
#
# Nothing in the loop of notebook 02 knows that it fits a picture. So give it a sound, and give it a film. You will hear
# a network learn, watch another one do so, ask for frames that nobody filmed, and find out who still wins.
#
# | | |
# |---|---|
# | **You will** | fit a sound and a film with one loop, find the unit of time, weigh a film's file, and build a frame generator |
# | **Time** | 35 minutes, 22 of them for five exercises |
# | **In a three-hour workshop** | 20 minutes: 09.1, 09.2 and 09.5; this notebook is a bonus |
# | **You need** | notebook 02 read; nothing but the library. No downloads; headphones are welcome |

# %%
import math

import torch
import torch.nn.functional as F
from torch import nn

from tutorial_lib import codecs, signals, widgets
from tutorial_lib.course import budget_value, drawing, exercise, hint, label, progress, solution
from tutorial_lib.lessons.n09_signals import figures, players
from tutorial_lib.networks.siren import PositionalEncoding, Siren, SirenConfig
from tutorial_lib.runtime import choose_device

torch.set_num_threads(1)  # networks as small as these gain nothing from more
device = choose_device()

# %% [markdown]
# ## What must change?
#
# Here is notebook 02 in three lines:
#
# ```
# coordinates = images.canvas(height, width)        # (height, width, 2): x and y
# network = Siren(…)                                # 2 numbers in, 3 numbers out
# fit(network, coordinates, colours, optimizer, steps)
# ```
#
# **Which of them must change for a sound? And which for a film?** Write one line each.

# %%
my_line_for_a_sound = None  # "…"
my_line_for_a_film = None  # "…"

answer = (
    "A sound: the coordinates are those of an axis, t alone; the network takes 1 number and gives 1. "
    "A film: they have one axis more, x, y and t; the network takes 3 numbers and gives 3. "
    "The loop stays as it is."
)
drawing.folded(answer, my_line_for_a_sound and my_line_for_a_film, ask="your two lines")

# %% [markdown]
# So a signal is a block of values with some axes, and each value has a place. Here are a sound and a film.

# %%
melody = signals.sample_sound("melody", seconds=2, rate=8_000)
short = signals.sample_clip("scene", frames=33, size=(32, 48))
players.sounds({"plucked strings, made by code": melody})

# %%
players.films({"a film of 33 frames, made by code": short}, zoom=5, alt="a disc with a face and a green ball cross a table")

# %% tags=["nbval-check-output"]
for signal in (melody, short):
    print(signal.kind, tuple(signal.values.shape), "at", tuple(signals.canvas(signal.size).shape))

# %% [markdown]
# 1 channel of 16,000 samples, at as many places of 1 coordinate. 3 colours of 33 × 32 × 48 pixels, at as many places of 3.
#
# ### 09.1 The coordinates of a film (4 min)
#
# x and y go from −1 to 1 as before. t goes from −`scale` to `scale`; what that is good for, you will see soon.

# %%
@exercise("09.1")
def film_canvas(frames, height, width, scale=1.0):
    """Coordinates (frames, height, width, 3), the last axis in the order x, y, t."""
    # torch.linspace(-1, 1, n) gives n values from −1 to 1.
    # torch.meshgrid(t, y, x, indexing="ij") repeats each along the others.
    ### BEGIN SOLUTION
    t, y, x = (torch.linspace(-1, 1, n) for n in (frames, height, width))
    t, y, x = torch.meshgrid(scale * t, y, x, indexing="ij")
    return torch.stack([x, y, t], dim=-1)
    ### END SOLUTION

# %%
hint("09.1")

# %% [markdown]
# ## Points, whatever the axes
#
# In notebook 02 each step painted all pixels. This film has 50,688, and a longer one millions. A step needs no more than
# some of them, drawn at random: their loss is the whole one's on average. And once points are drawn, nobody can tell
# whether they were a sound, a picture or a film.
#
# ### 09.2 Points of any signal (5 min)

# %%
@exercise("09.2")
def draw(coordinates, values, points):
    """Random points: coordinates (*size, d) and values (c, *size) to (points, d) and (points, c)."""
    # 1. Two lists, one row a point: (N, d) and (N, c). Mind where the channels are.
    # 2. Random indices from 0 to N − 1, on coordinates.device; the same rows of both lists.
    ### BEGIN SOLUTION
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    chosen = torch.randint(len(places), (points,), device=coordinates.device)
    return places[chosen], colours[chosen]
    ### END SOLUTION

# %%
hint("09.2")

# %% [markdown]
# And the loop, as you know it. This is the only one in this notebook up to its last exercise.

# %%
def fit(network, coordinates, values, optimizer, steps, points=2048):
    for _ in range(steps):
        places, colours = draw(coordinates, values, points)
        loss = ((network(places) - colours) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% [markdown]
# ## What is a second, beside a pixel?
#
# Between two neighbours in x there is 2/47 of the canvas. Between two frames there is what *we* decide. Does it matter?
# Here is what one line of the film sees, frame after frame:

# %%
figures.slice_figure(short, row=figures.Units.row)

# %% [markdown]
# A network sees such a block from all sides. If t is squeezed, its waves along t are slow: it can hardly change from frame
# to frame. If t is stretched, they are fast. We fit every *second* frame, with seven scales, and then ask for all of them.
# (About 15 seconds.)
#
# **Which scale is best on the fitted frames? Which one between them?**

# %%
scales = (0.03, 0.06, 0.12, 0.25, 0.5, 2, 8)
shown = short.values[:, ::2].to(device)  # 17 of the 33 frames
steps = budget_value(quick=8, laptop=400, gpu=1000)
painted = {}
for scale in scales:
    torch.manual_seed(0)
    config = SirenConfig(width=40, frequencies=0, axes=3, domain="canvas")
    network = Siren(config, *shown.shape[1:]).to(device)
    coordinates = film_canvas(*shown.shape[1:], scale).to(device)
    fit(network, coordinates, shown, torch.optim.Adam(network.parameters(), lr=2e-3), steps)
    with torch.no_grad():
        painted[scale] = network(film_canvas(*short.size, scale).to(device)).movedim(-1, 0).cpu()

# %% [markdown]
# Move the slider from right to left.

# %%
units = figures.Units(painted, short, label(film_canvas, draw))
widgets.explore(units.show, scale=units.slider())

# %% [markdown]
# - **Too large** (8): the fitted frames are there, rough, and each one between is noise. A row of the slice has nothing to
#   do with its neighbours: the film flickers.
# - **Too small** (0.03): what is between is as good as what was fitted, but both are smeared: nothing can move fast.
# - It is the $\omega_0$ of notebook 02, for one axis alone. What decides is not seconds, but how much happens in them.

# %% [markdown]
# ## A sound
#
# One axis, one channel, and the same SIREN, with $t$ from −1 to 1 and $\omega_0 = 30$. It gets about five seconds to learn
# two seconds of music. **What will it sound like?**

# %%
def learn_sound(scale, moments, width=64):
    """Fit the melody with t from −scale to scale; what it sounds like after some numbers of steps."""
    torch.manual_seed(0)
    config = SirenConfig(width, frequencies=0, axes=1, channels=1, domain="canvas")
    network = Siren(config, *melody.size).to(device)
    coordinates = scale * signals.canvas(melody.size).to(device)
    values = (melody.samples / melody.samples.abs().max()).to(device)  # from −1 to 1
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)
    heard, done = {}, 0
    for moment in moments:
        fit(network, coordinates, values, optimizer, moment - done)
        heard[moment], done = figures.heard(network, coordinates, melody), moment
    return heard


second = budget_value(quick=4, laptop=150, gpu=600)  # steps in about a second
(deaf,) = learn_sound(1, (5 * second,)).values()
players.sounds({"the melody": melody, f"ω₀ = 30: {figures.snr(deaf, melody)}": deaf})

# %% [markdown]
# Silence, but for a hum that is too low to hear. The number is the *signal-to-noise ratio*: the melody's power over that of
# the error. 0 dB is what silence gets.
#
# **How many waves a second does the fastest neuron of the first layer make, if t goes from −1 to 1 in two seconds?** (Its
# input has one number, so SIREN's start draws its weight between −1 and 1.)

# %%
my_guess = None  # waves a second

drawing.reveal("Waves a second", my_guess, 30 / (math.pi * melody.seconds), " Hz")

# %% [markdown]
# A picture of 150 pixels has no more than 75 waves along x; a second of this sound has 4,000 along t. Deeper layers make
# overtones of what the first one gives, but from 5 Hz they don't get to the lowest string's 131.
#
# ### 09.3 How long is a second? (4 min, may be skipped)
#
# Choose the scale of t so that the fastest first neuron, $\sin(\omega_0 w t + \dots)$ with $w = 1$, makes `hertz` waves a
# second.

# %%
@exercise("09.3")
def unit_of_time(hertz, seconds, omega_0=30.0):
    """The scale s, such that t from −s to s, over so many seconds, gives that many waves a second."""
    # From t = −s to t = s the angle ω₀·t grows by 2·s·ω₀. One wave is 2π.
    ### BEGIN SOLUTION
    return math.pi * hertz * seconds / omega_0
    ### END SOLUTION

# %%
hint("09.3")

# %%
scale = unit_of_time(500, melody.seconds)
named = {"scale 1": 1.0, f"scale {scale:.0f} ({label(unit_of_time)})": scale}
figures.first_neurons(named, melody.seconds)

# %% [markdown]
# Sitzmann et al. ([arXiv 2006.09661](https://arxiv.org/abs/2006.09661)) do this with 100, and call it $\omega_0 = 3000$ in
# the first layer. Now learn: the same network, the same loop, for about 1, 5 and 20 seconds. **What will come first?**

# %%
heard = learn_sound(scale, (second, 5 * second, 20 * second))
whose = label(draw, unit_of_time)
named = {f"{n} steps ({whose}): {figures.snr(each, melody)}": each for n, each in heard.items()}
players.sounds({"the melody": melody, **named})

# %%
pictures = {f"{n} steps\n{figures.snr(each, melody)}": each for n, each in heard.items()}
players.spectrograms({"the melody\n": melody, "ω₀ = 30\n": deaf, **pictures})

# %% [markdown]
# The tune is there after a second, in a hiss. What is learned late are the high overtones. And in the melody's quiet spots,
# black above, the network's hiss stays: it is noise that the squared error hardly counts, and that an ear does.
#
# Is it a good codec? The library's `siren-audio` makes a file of such a network: encoded time, rounded weights, the range
# coder of notebook 06. **Who will win?**

# %%
sound_steps = budget_value(quick=12, laptop=600, gpu=2000)
data = codecs.SIREN_AUDIO.encode(melody, kbps=16, iterations=sound_steps, progress=False)
figures.sound_table(melody, data)

# %% [markdown]
# It depends on whom you ask. At as many bytes, the network's wave is nearer to the melody's than that of Opus. But Opus never
# tried to keep the wave: it keeps what an ear notices. The *log-spectral distance* compares how loud each tone is at each
# moment, quiet ones as much as loud ones, and there Opus is ahead of all but the largest file. Now the third judge:

# %%
players.sounds({"the melody": melody, **figures.contest(melody, data)})

# %% [markdown]
# The network hisses where the melody is silent: the same error as in its spectrogram. Notebook 08 asks the same question of
# pictures. (Strings are kind to a network of sines. `python tests/benchmarks/signals.py sounds` has a voice, too.)

# %% [markdown]
# ## A film in a file
#
# Back to pictures, with t. Give the path of a film of your own: an animated GIF, WebP, AVIF or PNG, or a mp4
# where [PyAV](https://pyav.basswood-io.com) is installed. Its first 32 frames are taken, reduced to 96 pixels.

# %%
my_film = None  # "holiday.gif"

clip, shown_film = players.film_of(my_film, frames=budget_value(quick=8, laptop=32, gpu=32))
shown_film

# %% [markdown]
# `siren-video` is the `siren` of pictures with one axis more, rounded and coded in the same way. It aims at 0.45 bits for
# each pixel of each frame. For 32 frames it takes a t of 1/8; you know why. (Half a minute. Stop it when you like: what it has
# learned so far becomes the file.)
#
# **How many times larger will motion JPEG, a JPEG for each frame, be at the same PSNR? And the other two?**

# %%
film_steps = budget_value(quick=12, laptop=900, gpu=3000)
data = figures.learn_film(clip, bpp=0.45, iterations=film_steps)

# %%
figures.equal_quality(clip, data)

# %% [markdown]
# Motion JPEG tells each frame anew. The network has *one* set of weights for all of them: what stands still costs
# nothing the second time. Animated WebP knows a little of this, too.
#
# AV1 knows all of it: it says for each block where it was a frame ago, and what is new. It wins.

# %% [markdown]
# ## Frames that were never there
#
# The network has an answer at *every* t. So ask between the frames: slow motion, from a file that knows nothing of it.
#
# ### 09.4 Between the frames (3 min, may be skipped)

# %%
@exercise("09.4")
def slow_motion(frames, factor):
    """t in [−1, 1] of all frames, and of factor − 1 new ones in each gap between two of them."""
    # How many gaps are there, and into how many steps is each one cut?
    ### BEGIN SOLUTION
    return torch.linspace(-1, 1, (frames - 1) * factor + 1)
    ### END SOLUTION

# %%
hint("09.4")

# %% [markdown]
# Is what it answers right? Fit every 2nd, every 4th and every 8th frame, with a scale that was good between frames, and
# compare the frame in the middle of each gap with the film's own. (About 15 seconds.) Two rivals need no network: *hold*
# the last frame, or *blend* the two around.
#
# **Who will be nearest? And where will it break?**

# %%
scale, found = 0.25, {}
for gap in (2, 4, 8):
    kept = short.values[:, ::gap].to(device)
    torch.manual_seed(0)
    network = Siren(SirenConfig(width=40, frequencies=0, axes=3, domain="canvas"), *kept.shape[1:]).to(device)
    coordinates = film_canvas(*kept.shape[1:], scale).to(device)
    fit(network, coordinates, kept, torch.optim.Adam(network.parameters(), lr=2e-3), 4 * steps)

    t = slow_motion(kept.shape[1], factor=2)[1::2]  # the middles of the gaps
    places = film_canvas(len(t), *kept.shape[2:])
    places[..., 2] = scale * t[:, None, None]
    with torch.no_grad():
        middles = network(places.to(device)).movedim(-1, 0).cpu()
    found[gap] = figures.missing_frames(short, gap, middles)

figures.gaps_figure(found, label(film_canvas, draw, slow_motion))

# %%
figures.ghosts(found[8], which=1)

# %% [markdown]
# Blending is nearest throughout: it starts from the frames themselves, and the network from what it kept of them. Holding is
# worst.
#
# Where much happens between two frames, all three break. Blending shows two half-transparent balls, *ghosts*; the network,
# a smear. It has learned which colour is where and when, and that this changes smoothly. It has not learned that a disc *moves*.

# %% [markdown]
# ## A whole frame at once
#
# Decoding asks `siren-video` for each pixel of each frame: all weights are used for every one. NeRV (Chen et al., 2021,
# [arXiv 2110.13903](https://arxiv.org/abs/2110.13903)) asks once a frame: t goes in, a picture comes out. In between, a
# coarse grid grows: a convolution makes 4 times the channels, and *PixelShuffle* lays them out as 2 × 2 pixels.
#
# ### 09.5 PixelShuffle (6 min)
#
# Each place of the coarse map has $c \cdot r^2$ numbers: $r^2$ for each of $c$ output channels. They become a square of
# $r \times r$ pixels, row after row. With $r = 2$: channel 0 upper left, 1 upper right, 2 lower left, 3 lower right.

# %%
@exercise("09.5")
def pixel_shuffle(features, factor):
    """(b, c·factor², h, w) to (b, c, factor·h, factor·w), without F.pixel_shuffle."""
    # 1. Split the channels: (b, c, factor, factor, h, w).
    # 2. Bring together what makes the new rows, and what makes the new columns.
    ### BEGIN SOLUTION
    b, _, h, w = features.shape
    split = features.reshape(b, -1, factor, factor, h, w)
    return split.permute(0, 1, 4, 2, 5, 3).reshape(b, -1, factor * h, factor * w)
    ### END SOLUTION

# %%
hint("09.5")

# %% [markdown]
# A NeRV around it: the encoding of notebook 02 for t, two linear layers to a grid of 4 × 6, three blocks, and a last convolution
# to three colours. Its loop sees whole frames, so no points are drawn: four frames a step.

# %%
class Block(nn.Conv2d):
    """(b, inputs, h, w) to (b, outputs, 2h, 2w)."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, 4 * outputs, 3, padding=1)

    def forward(self, features):
        return F.silu(pixel_shuffle(super().forward(features), 2))


torch.manual_seed(0)
generator = nn.Sequential(
    PositionalEncoding(8), nn.Linear(17, 10), nn.SiLU(),
    nn.Linear(10, 12 * 4 * 6), nn.SiLU(), nn.Unflatten(1, (12, 4, 6)),
    Block(12, 12), Block(12, 10), Block(10, 8),
    nn.Conv2d(8, 3, 3, padding=1),
).to(device)  # fmt: skip

times = torch.linspace(-1, 1, len(short.frames), device=device)[:, None]
frames = short.frames.to(device)
adam = torch.optim.Adam(generator.parameters(), lr=5e-3)
for _ in range(budget_value(quick=8, laptop=1000, gpu=2000)):
    some = torch.randint(len(times), (4,), device=device)
    loss = ((generator(times[some]) - frames[some]) ** 2).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()

# %%
figures.growth(generator.cpu(), 0.0, label(pixel_shuffle))

# %% [markdown]
# Its weights, some 16,000, are used very differently. A SIREN of as many (three layers of 87) uses each of them once for
# each pixel: about 16,000 multiply-adds. **How many does the generator need for a pixel?**

# %%
my_guess = None  # multiply-adds for each pixel

per_pixel = figures.multiply_adds(generator, times.cpu()) / frames[:, 0].numel()
drawing.reveal("Multiply-adds for each pixel", my_guess, round(per_pixel), "")

# %% [markdown]
# A weight of a block is used once for each place of its *coarse* grid, and that of the first linear layer once a frame.
# Measured, on one thread:

# %%
torch.manual_seed(0)
pixelwise = Siren(SirenConfig(width=87, frequencies=0, axes=3, domain="canvas"), *short.size)
places = film_canvas(*short.size)

weights = {name: sum(p.numel() for p in each.parameters()) for name, each in (("SIREN", pixelwise), ("NeRV", generator))}
race = {
    f"SIREN(x, y, t), {weights['SIREN']:,} weights": (lambda: pixelwise(places), pixelwise.config.weights),
    f"NeRV(t), {weights['NeRV']:,} weights": (lambda: generator(times.cpu()), per_pixel),
}
with torch.no_grad():
    table = figures.decoding_race(race)
table

# %% [markdown]
# That is NeRV's point; its authors report decoding 38 to 132 times as fast as networks on pixels. Its price: a frame has one
# size. Is it near to the film?

# %%
with torch.no_grad():
    made = figures.clip_of(generator(times.cpu()).movedim(1, 0))
title = f"NeRV ({label(pixel_shuffle)}): {signals.clip_psnr(made, short):.1f} dB"
players.films({"the film": short, title: made}, zoom=5, alt="a film and what a frame generator makes of it")

# %% [markdown]
# ## Where it stands
#
# AV1 won, and by far. What do codecs do that are fitted to one film, as ours, and come nearer to it? (Numbers are their
# authors'; each has other rivals and films, so no two rows can be compared. AVC and HEVC are AV1's elders.)

# %%
figures.standing()

# %% [markdown]
# Three ideas stand behind these rows.
#
# - **Grids, not weights.** Details live in small grids that are cheap to code (notebook 04); the network only reads them.
#   C3 and Cool-chic do so. HiNeRV goes on from NeRV, and interpolates encodings of several sizes inside the network.
# - **Motion, said.** Cool-chic's film codec fits, for each frame, where each place was in other frames: a second set of grids
#   holds the motion. That is what our network in the last gap did not know.
# - **A context for the coder.** What was decoded before tells what will come.
#
# And all of them fit each film anew. Half a minute, above, was for 1.3 seconds of a film as large as a stamp.

# %% [markdown]
# ## Where you are

# %%
progress()

# %% [markdown]
# ## To read, to try
#
# - **In the library:** films and sounds are in [`signals/arrays.py`](../tutorial_lib/signals/arrays.py), `Nerv` in
#   [`networks/nerv.py`](../tutorial_lib/networks/nerv.py), and `SignalCodec` in
#   [`codecs/signals.py`](../tutorial_lib/codecs/signals.py).
# - **Try:** `inr encode holiday.gif`, then `inr decode holiday.inr --frames 200`: slow motion of your own.
# - **Try:** the cell below: a voice in place of the strings. Which sounds come last?
# - **Try:** `my_film = …` with something that hardly moves, and with something that is all motion.
# - **Read:** Sitzmann et al., section 4.1 and its supplement on sound; Chen et al., *NeRV*; Leguay et al., *Cool-chic video*
#   ([arXiv 2402.03179](https://arxiv.org/abs/2402.03179)).

# %%
melody = signals.sample_sound("voice", seconds=2, rate=8_000)
heard = learn_sound(unit_of_time(500, melody.seconds), (second, 5 * second))
players.sounds({"the voice": melody, **{f"after {n} steps": each for n, each in heard.items()}})
