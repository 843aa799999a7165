"""The Python environments of the peers, in .tools/bench-venv and .tools/encoder-venv.

Made once (2.7 GB to download each), and again when the pinned versions change. An interrupted one is
never taken for a good one: its stamp is written last.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
ENCODER_REQUIREMENTS = Path(__file__).with_name("requirements-encoder.txt")
RECBOLE = "recbole==1.2.1"


def python() -> Path:
    """The interpreter that has torch and RecBole; installs them where they are missing."""
    return _made(ROOT / ".tools/bench-venv", REQUIREMENTS, [RECBOLE])


def sentence_transformers() -> Path:
    """The interpreter that has sentence-transformers; installs it where it is missing."""
    return _made(ROOT / ".tools/encoder-venv", ENCODER_REQUIREMENTS, [])


def _made(folder: Path, requirements: Path, alone: list[str]) -> Path:
    """An environment with the pinned packages, and with those of `alone` without what they ask for."""
    interpreter, stamp = folder / "bin/python", folder / "complete"
    pins = requirements.read_text() + "".join(f"{pin}\n" for pin in alone)
    if stamp.exists() and stamp.read_text() == pins:
        return interpreter
    host = _with_pip()
    print(f"installing {requirements.name} into {folder} (2.7 GB)", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    # Without pip inside: Debian keeps what that needs in a package of its own, python3-venv.
    subprocess.run([host, "-m", "venv", "--without-pip", folder], check=True)
    pip = [host, "-m", "pip", "--python", interpreter, "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*pip, "-r", requirements], check=True)
    for pin in alone:
        subprocess.run([*pip, "--no-deps", pin], check=True)
    stamp.write_text(pins)
    return interpreter


def _with_pip() -> str:
    """A Python with a pip that can install into another environment (22.3 or newer)."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        probe = [interpreter, "-c", "import pip, venv; print(pip.__version__)"]
        found = subprocess.run(probe, capture_output=True, text=True, check=False)
        if found.returncode == 0 and tuple(map(int, found.stdout.split(".")[:2])) >= (22, 3):
            return interpreter
    sys.exit("no Python with pip 22.3 or newer; install it (Debian: apt-get install python3-pip)")
