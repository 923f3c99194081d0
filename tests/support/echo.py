"""Run beside a test by layers.beside: gives each message back."""

from layers.beside import read_message, write_message


def main() -> None:
    while (message := read_message(0)) is not None:
        write_message(1, message)
