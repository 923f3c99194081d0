"""Generated Dockerfiles with what a BuildKit of 2022 lacks: for peers as new as the reference."""
