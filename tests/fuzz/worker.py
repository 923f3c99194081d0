"""The process that fuzzes: ``python -m tests.fuzz.worker TARGET`` and arguments of libFuzzer."""

import importlib
import sys


def main() -> None:
    atheris = importlib.import_module("atheris")  # has no types
    with atheris.instrument_imports(include=["builder"]):
        targets = importlib.import_module("tests.fuzz.targets")
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
