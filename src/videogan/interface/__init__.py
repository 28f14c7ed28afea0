"""What a Python program calls: a trained model to sample from, and its scores, in this process and without Ray.

The package `videogan` offers both as functions; nothing else imports this folder.
"""
