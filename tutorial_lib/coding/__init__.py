"""The room of notebook 06: from trained weights to bytes and back.

`steps` make integers of weights, `quantizers` choose the steps, `rounding` the integers; `rates` say in training what they will
cost. `laws` are their probabilities, `streams` the bytes that a coder makes of both; `parameters` puts what a decoder must know
beside them, and `bitstream` is the file around it all.
"""
