SCORES_OF_S3 = ("s3", "s3_chance_corrected", "ser", "res")
"""What one evaluation of S3 tells of a generator; each asks of its clips whether they show their class. Here, so that
ledgers can be read without torch."""
