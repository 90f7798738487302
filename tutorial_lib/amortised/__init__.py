"""A codec that was trained once, for all pictures: its transforms, the laws of its latents, its shipped weights."""
