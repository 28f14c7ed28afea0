"""Video classifiers of S3 and the recipe that fits them."""
