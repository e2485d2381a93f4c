"""The two measuring programs of a comparison: `load`, the client of servers, and `embedded`, which links its engines.

Each run of one gives a JSON object. Nothing is printed; failures are ProgramError with the program's own words.
"""

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time

_SECONDS_MAX = 900


def _shown(argv):
    """A command line for people, without the folders of this machine."""
    return " ".join(os.path.basename(argument) for argument in argv)


class ProgramError(Exception):
    """A program ended with an error, or took too long."""


@dataclasses.dataclass(frozen=True)
class Size:
    """What is written: a workload by name, and how much of it."""

    workload: str
    hosts: int
    ticks: int
    seed: int
    recordings: str

    @property
    def arguments(self):
        arguments = ["--workload", self.workload, "--hosts", str(self.hosts), "--ticks", str(self.ticks),
                     "--seed", str(self.seed)]
        return arguments + (["--directory", self.recordings] if self.workload == "nab" else [])


class Program:
    """A built program; `always` are arguments of every run."""

    def __init__(self, path, always=()):
        self.path = path
        self.always = list(always)

    def run(self, *arguments):
        """The object that it prints last."""
        argv = [self.path, *self.always, *map(str, arguments)]
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=_SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise ProgramError(f"{_shown(argv)}: had not ended after {_SECONDS_MAX} s") from error
        if done.returncode != 0:
            raise ProgramError(f"{done.stderr.strip()[-1000:]} ({_shown(argv)})")
        return json.loads(done.stdout.splitlines()[-1])

    def start(self, *arguments):
        """The same in the background: a Running."""
        return Running([self.path, *self.always, *map(str, arguments)])


class Truth:
    """The right answers of a workload, made once each."""

    def __init__(self, program):
        self._program = program
        self._known = {}

    def of(self, size, question, count):
        """Of so many questions."""
        key = (size, question, count)
        if key not in self._known:
            told = self._program.run("truth", *size.arguments, "--kind", question, "--count", count, "--answers", count)
            self._known[key] = told["answers"]
        return self._known[key]


class Running:
    """A program that runs. `kill` and `finish` end it; one of them must be called."""

    def __init__(self, argv):
        self._argv = argv
        self._output = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(argv, stdout=self._output, stderr=subprocess.STDOUT,
                                         stdin=subprocess.DEVNULL)

    def acknowledged(self):
        """Of `--progress`: the samples of the last whole line."""
        lines = os.pread(self._output.fileno(), os.fstat(self._output.fileno()).st_size, 0).decode().split("\n")[:-1]
        counts = [line for line in lines if line.startswith("acknowledged ")]
        return int(counts[-1].split()[1]) if counts else 0

    def running(self):
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_for(self, samples, seconds):
        """Until so many are acknowledged, it has ended, or the time is over."""
        deadline = time.monotonic() + seconds
        while self.acknowledged() < samples and self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)

    def kill(self):
        """SIGKILL; returns the samples that it had acknowledged."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        acknowledged = self.acknowledged()
        self._output.close()
        return acknowledged

    def finish(self, seconds=_SECONDS_MAX):
        """Waits for its end, and stops it after the time. Returns the object printed last, or None if it was stopped."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._output.close()
            return None
        self._output.seek(0)
        text = self._output.read()
        self._output.close()
        if self._process.returncode != 0:
            raise ProgramError(f"{text.strip()[-1000:]} ({_shown(self._argv)})")
        return json.loads(text.splitlines()[-1])
