"""Implicit neural image compression: a picture as a small network, the network as a small file.

Start with `tutorial_lib.codecs` (a picture in, bytes out, and back), or with the notebooks.
"""

import os

__version__ = "0.1.0"

# Threads that wait should sleep, not spin: beside other busy programs (a browser, a second notebook) a step of a fit then
# takes 80 to 95 ms instead of 170 to 370, on a quiet machine as long as before (42,000 weights, 2 cores). Read when torch
# loads, so it is set here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
