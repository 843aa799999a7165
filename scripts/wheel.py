"""Packs the release build as a wheel: scripts/wheel.py BINARIES OUT. Called by scripts/wheel.sh."""
import base64
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

PROGRAMS = ["genair", "genair-trainer", "genair-encoder", "genair-report", "genair-conformance", "genair-llama"]
PLUGINS = [f"libgenair_backbone_{name}.so" for name in ("sasrec", "bert4rec", "gru4rec", "caser")]
# From site-packages/genair/bin to the libraries of torch and of what it depends on.
RPATH = "$ORIGIN/../../torch/lib:$ORIGIN/../../nvidia/cu13/lib"
TORCH = "2.13.0"

LAUNCHER = '''"""GenAIR: experiments in sequential recommendation. The command `genair` is a program of its own."""

import os
import pathlib
import sys


def main():
    program = pathlib.Path(__file__).parent / "bin" / "genair"
    os.execv(program, ["genair", *sys.argv[1:]])
'''


def version():
    manifest = pathlib.Path("Cargo.toml").read_text()
    return re.search(r'^version = "(.+)"$', manifest, re.M)[1]


def metadata(version):
    readme = pathlib.Path("README.md").read_text()
    return (
        f"Metadata-Version: 2.1\nName: genair\nVersion: {version}\n"
        "Summary: Experiments in sequential recommendation, with item vectors from language models\n"
        f"License: MIT\nRequires-Python: >=3.10\nRequires-Dist: torch=={TORCH}\n"
        "Description-Content-Type: text/markdown\n\n" + readme
    )


def prepared(source, folder):
    """A copy without symbols that finds libtorch where pip puts it."""
    copy = folder / source.name
    shutil.copy(source, copy)
    subprocess.run(["strip", "--strip-unneeded", copy], check=True)
    subprocess.run(["patchelf", "--force-rpath", "--set-rpath", RPATH, copy], check=True)
    return copy


def main():
    binaries, out = map(pathlib.Path, sys.argv[1:])
    missing = [name for name in PROGRAMS + PLUGINS if not (binaries / name).is_file()]
    if missing:
        sys.exit(f"wheel: error: {binaries} lacks {', '.join(missing)}; run `just wheel`, which builds them")
    name = f"genair-{version()}"
    info = f"{name}.dist-info"
    files = {"genair/__init__.py": LAUNCHER.encode(), "genair/__main__.py": b"from genair import main\n\nmain()\n"}
    for program in PROGRAMS + PLUGINS:
        files[f"genair/bin/{program}"] = prepared(binaries / program, out).read_bytes()
        (out / program).unlink()
    files[f"{info}/METADATA"] = metadata(version()).encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: genair\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n"
    )
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\ngenair = genair:main\n"
    files[f"{info}/licenses/LICENSE"] = pathlib.Path("LICENSE").read_bytes()

    def line(path, content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(content)}\n"

    record = "".join(line(path, content) for path, content in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(out / f"{name}-py3-none-linux_x86_64.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)  # The same date always: the same build gives the same wheel.
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if path.startswith("genair/bin/") else 0o644) << 16
            wheel.writestr(entry, content)


main()
