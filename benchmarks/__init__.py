"""What is measured, against whom: ratios inside one run."""
