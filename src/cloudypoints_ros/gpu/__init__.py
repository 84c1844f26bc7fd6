"""A frame on the GPU: one copy in, everything there, one copy out. Its modules import torch; nothing else does.

The functions run on any device of torch; on a CPU they are held against the CPU's own pipeline. Not run on a GPU yet.
"""
