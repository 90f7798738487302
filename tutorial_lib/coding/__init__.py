"""From weights to bytes and back: steps, rounding, laws of probability, entropy coders, the container."""
