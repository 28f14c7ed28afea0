"""Optical flow: `LucasKanade` without weights, `PWCNet` with them; a video's flow from either; how fast clips move."""
