"""Break one line at a time, on a copy, and see whether the tests notice: a fault that no test notices is a hole in the tests.

    python benchmarks/mutations.py [--only PART] [--list]

Each fault is run against the tests named beside it, which stop at the first failure. Exit status 1 if a fault goes unnoticed.
"""

import argparse
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faults as parts
from faults import Fault

ROOT = Path(__file__).parents[1]
PARTS = {part.name: importlib.import_module(f"faults.{part.name}").FAULTS for part in pkgutil.iter_modules(parts.__path__)}


def outcome(fault: Fault, folder: Path) -> str:
    """noticed, NOT NOTICED, or endless: the tests did not end in a quarter of an hour, which whoever waits for them notices."""
    file = folder / "src" / "diverseevol" / fault.file
    sound = file.read_text("utf-8")
    assert sound.count(fault.old) >= 1, f"{fault.file} has no {fault.old!r} any more: mend this list"
    file.write_text(sound.replace(fault.old, fault.new, 1), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", *fault.tests.split()]
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "endless"
    finally:
        file.write_text(sound, "utf-8")
    assert ended.returncode in (0, 1), ended.stdout.decode()[-2000:]
    return "noticed" if ended.returncode == 1 else "NOT NOTICED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    faults = PARTS[options.only] if options.only else [fault for part in PARTS.values() for fault in part]
    n_unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("src", "tests", "examples", "configs", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
        for fault in faults:
            started = time.perf_counter()
            found = "" if options.list else outcome(fault, folder)
            n_unnoticed += found == "NOT NOTICED"
            said = f"{found} in {time.perf_counter() - started:.0f} s: " if found else ""
            print(f"{said}{fault.file}: {fault.old!r} → {fault.new!r}", flush=True)
    if not options.list:
        print(f"{len(faults) - n_unnoticed} of {len(faults)} faults noticed")
    return 1 if n_unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
