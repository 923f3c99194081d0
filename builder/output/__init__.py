"""pybuild: results to an image, and the image to where it was asked for."""
