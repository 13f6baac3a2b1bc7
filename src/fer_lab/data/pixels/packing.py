"""Processes that put faces, drawn or decoded, into arrays on disk.

Each is a fresh interpreter that runs this module and imports neither torch nor the caller's
script, as multiprocessing's own processes would: they start in a fraction of a second and work
from scripts without a main guard and from notebooks.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from fer_lab.data.pixels.packable import ARRAYS, Faces
from fer_lab.data.processors import processor_count
from fer_lab.errors import DataError

# Below this many rows a process costs more than it saves.
ROWS_PER_PROCESS: Final = 100
_ROWS_PER_REPORT: Final = 16


@dataclass(frozen=True)
class Job:
    """Rows to put into the ``.npy`` files of a folder, which exist at full size.

    Attributes:
        faces: the rows.
        first: where the first of them goes.
        size: height and width in pixels.
        folder: with a file for each array that the rows have.
    """

    faces: Faces
    first: int
    size: int
    folder: Path


def draw(job: Job) -> Iterator[int]:
    """Pack a job's rows in this process; gives 1 for each row done."""
    files = {name: job.folder / f"{name}.npy" for name in ARRAYS}
    arrays: dict[str, NDArray[np.generic]] = {
        name: np.load(file, mmap_mode="r+", allow_pickle=False)
        for name, file in files.items()
        if file.exists()
    }
    for row in range(len(job.faces)):
        parts = job.faces.parts(row, job.size)
        if parts.keys() != arrays.keys():
            odd = ", ".join(sorted(arrays.keys() ^ parts.keys()))
            raise ValueError(f"row {job.first + row} and others differ in {odd}")
        for name, part in parts.items():
            arrays[name][job.first + row] = part
        yield 1


def draw_in_parallel(job: Job) -> Iterator[int]:
    """Pack a job's rows with all processors; gives how many rows were done since the last.

    A reader from the caller's own script is used in this process, since no other can import it.

    Raises:
        DataError: when a process fails; the others are ended.
    """
    rows = len(job.faces)
    count = min(processor_count(), rows // ROWS_PER_PROCESS)
    if count < 2 or job.faces.main_only:
        yield from draw(job)
        return
    reports: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        # Shares are contiguous: a reader may prepare neighbours together.
        bounds = [rows * number // count for number in range(count + 1)]
        for start, stop in pairwise(bounds):
            share = replace(job, faces=job.faces.share(start, stop), first=job.first + start)
            processes.append(_start(share, reports))
        running = count
        while running:
            message = reports.get()
            if message is None:
                running -= 1
            elif message.isdigit():
                yield int(message)
            else:
                raise DataError("a face cannot be packed", where=json.loads(message))
        for process in processes:
            if process.wait() != 0:
                raise DataError(
                    f"a process that packs faces ended with code {process.returncode}",
                    where=job.folder,
                    hint="it may have run out of memory: a negative code is the signal's number",
                )
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _start(job: Job, reports: queue.SimpleQueue[str | None]) -> subprocess.Popen[bytes]:
    """Start one process; what it reports arrives in the queue, None at its end."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fer_lab.data.pixels.packing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def listen(output: IO[bytes]) -> None:
        with output:
            for line in output:
                reports.put(line.decode().strip())
        reports.put(None)

    threading.Thread(target=listen, args=(process.stdout,), daemon=True).start()
    # A process that died at once is noticed by its exit code.
    try:
        with process.stdin:
            pickle.dump(job, process.stdin)
    except BrokenPipeError:
        pass
    return process


def work() -> int:
    """Pack the job that comes through standard input; the exit code says whether it went well."""
    # Ctrl-C reaches the whole group; the caller ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a reader prints goes to standard error; the reports keep the pipe for themselves.
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        waiting = 0
        job: Job = pickle.load(sys.stdin.buffer)
        try:
            for done in draw(job):
                waiting += done
                if waiting == _ROWS_PER_REPORT:
                    print(waiting, file=output, flush=True)
                    waiting = 0
        except BrokenPipeError:
            # The caller was killed: nobody wants the rest.
            os._exit(1)
        except Exception as error:
            print(json.dumps(f"{type(error).__name__}: {error}"), file=output, flush=True)
            return 1
        print(waiting, file=output, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(work())
