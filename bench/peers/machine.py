"""The machine that a comparison runs on: its facts, how steady it is, and what its disk was made to do.

Calibration is a fixed piece of work of the processor and of the disk, timed before, between and after the measurements.
A run whose calibrations differ by more than NOISE_MAX is marked as noisy: its figures still compare with each other only
where they were taken side by side.
"""

import dataclasses
import os
import platform
import statistics
import subprocess
import time
import zlib

# A shared machine swings by tenths even when it is quiet.
NOISE_MAX = 1.25

_BLOCK = bytes(range(256)) * 256  # 64 KiB
_PROCESSOR_ROUNDS = 4000
_SYNCS = 100


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Seconds of the fixed work, and the median of a 4 KiB write made durable, in microseconds."""

    processor_s: float
    sync_us: float


def calibrate(folder):
    """Does the fixed work; the file for it is made in `folder` and removed."""
    began = time.perf_counter()
    checksum = 0
    for _ in range(_PROCESSOR_ROUNDS):
        checksum = zlib.crc32(_BLOCK, checksum)
    processor = time.perf_counter() - began
    path = os.path.join(folder, "calibration")
    times = []
    with open(path, "wb", buffering=0) as file:
        file.write(_BLOCK)
        os.fsync(file.fileno())
        for _ in range(_SYNCS):
            file.seek(0)
            began = time.perf_counter()
            file.write(_BLOCK[:4096])
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    os.unlink(path)
    return Calibration(processor, statistics.median(times) * 1e6)


def noise(calibrations):
    """The largest ratio between two calibrations of each part; 1 on a machine that is perfectly steady."""
    found = {}
    for part, field in (("processor", "processor_s"), ("disk", "sync_us")):
        values = [getattr(one, field) for one in calibrations]
        found[part] = round(max(values) / min(values), 3)
    return found


def _first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return "unknown"


def _command(*arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else "unknown"


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _device(folder):
    """The name of the block device below a folder, such as vda, or None: for tmpfs and network file systems."""
    major, minor = os.major(os.stat(folder).st_dev), os.minor(os.stat(folder).st_dev)
    link = f"/sys/dev/block/{major}:{minor}"
    if not os.path.exists(link):
        return None
    target = os.path.realpath(link)
    # Of a partition the disk.
    if os.path.exists(os.path.join(target, "partition")):
        target = os.path.dirname(target)
    return os.path.basename(target)


def facts(folder):
    """What a reader must know of the machine, and of the disk below `folder`; a dict of strings and numbers."""
    device = _device(folder)
    queue = f"/sys/block/{device}/queue"
    memory_kib = int(_first_line("/proc/meminfo").split()[1])
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "file_system": _command("findmnt", "-no", "FSTYPE,OPTIONS", "--target", folder),
        "disk": device or "none",
        "disk_cache": _first_line(f"{queue}/write_cache") if device else "none",
        "disk_fua": _first_line(f"{queue}/fua") if device else "none",
        "compiler": _command("g++", "--version"),
    }


def flushes(folder):
    """How often the disk below `folder` was told to flush its cache since it was found, or None if it is no disk.

    Counted by the kernel (Documentation/admin-guide/iostats.rst, field 16), for whoever asked: io_uring's syncs too,
    which a trace of system calls does not see.
    """
    device = _device(folder)
    with open("/proc/diskstats", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if fields[2] == device and len(fields) > 18:
                return int(fields[18])
    return None


def forget_cached_files():
    """Makes the next reads come from the disk. False where that is not permitted."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as file:
            file.write("3\n")
    except OSError:
        return False
    return True
