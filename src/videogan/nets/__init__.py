"""Parts of networks that two or more families share."""
