"""DuckDB's shared library, from the npm registry: Debian has none."""

import glob
import os
import shutil
import subprocess

from systems import Unavailable, install_packages

_PACKAGE = "@duckdb/node-bindings-linux-x64"
_FOLDER = ".cache/duckdb"
_SECONDS_MAX = 300


def _path():
    found = glob.glob(os.path.join(_FOLDER, "node_modules", _PACKAGE, "libduckdb.so"))
    return os.path.abspath(found[0]) if found else None


def find_or_fetch():
    """The path of libduckdb.so, fetched once. Raises Unavailable."""
    if _path() is None:
        if shutil.which("npm") is None:
            install_packages(["npm"])
        os.makedirs(_FOLDER, exist_ok=True)
        try:
            done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", _FOLDER, _PACKAGE],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                  timeout=_SECONDS_MAX)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"npm install {_PACKAGE}: {error}") from error
        if done.returncode != 0:
            raise Unavailable(f"npm install {_PACKAGE} ended with {done.returncode}: {done.stdout.strip()[-300:]}")
    path = _path()
    if path is None:
        raise Unavailable(f"{_PACKAGE} holds no libduckdb.so")
    return path
