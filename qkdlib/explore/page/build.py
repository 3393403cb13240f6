"""Writes kernels.js from kernels.ts: `python -m qkdlib.explore.page.build`.

The compiler is AssemblyScript, from npm (`npx` fetches it) or the one that ASC names. The same source
and version give the same bytes; the tests compare.
"""

import base64
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

VERSION = "0.28.20"
SOURCE = Path(__file__).with_name("kernels.ts")
TARGET = Path(__file__).with_name("kernels.js")
_FLAGS = ("-O3", "--noAssert", "--enable", "simd", "--runtime", "stub", "--importMemory")


def compiled():
    """The WebAssembly of kernels.ts, bytes.

    Raises:
        FileNotFoundError: There is no compiler.
        subprocess.CalledProcessError: It failed.
    """
    named = os.environ.get("ASC")
    asc = [named] if named else ["npx", "--yes", f"--package=assemblyscript@{VERSION}", "asc"]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "kernels.wasm"
        command = [*asc, SOURCE.name, "--outFile", str(target), *_FLAGS]
        subprocess.run(command, cwd=SOURCE.parent, check=True, capture_output=True)
        return target.read_bytes()


def digest():
    """A fingerprint of the source, by which a kernels.js that is out of date is noticed."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def main():
    """Compiles, and replaces kernels.js."""
    data = base64.b64encode(compiled()).decode()
    head = f"// build.py, AssemblyScript {VERSION}, kernels.ts {digest()}\n"
    fresh = TARGET.with_suffix(".new")
    fresh.write_text(f'{head}var qkdKernels = "{data}";\n')
    fresh.replace(TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
