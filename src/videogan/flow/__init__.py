"""Optical flow: `LucasKanade` without weights, `PWCNet` with them; how a video's flow is taken from either."""
