"""pybuild's builder: Dockerfile text to image, in the order dockerfile, plan, solve, output."""
