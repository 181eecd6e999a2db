"""Files that appear whole or not at all. Owns the way to the disk; knows nothing of what is written.

A new folder is filled under a hidden name beside its destination and then renamed; files that replace others
are staged in a hidden folder on the same file system. Faults before the rename leave nothing behind.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from testbed.errors import EnvironmentProblem, ResultsExist

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def refuse_existing(destination: Path) -> None:
    """Raise if something stands where a new results folder should go.

    Raises:
        ResultsExist: a file or folder, even an empty one, has this name.
    """
    if destination.exists() or destination.is_symlink():
        raise ResultsExist(
            "this already exists and is not overwritten",
            where=str(destination),
            fix="choose another folder with --out, or move this one away",
        )


@contextmanager
def new_folder(destination: Path) -> Iterator[Path]:
    """Give a hidden folder to fill; when the block ends well, it becomes `destination`.

    Raises:
        ResultsExist: the destination exists, before or after the block.
        EnvironmentProblem: no room, no permission, or another fault of the disk. Nothing is left behind.
    """
    destination = Path(os.path.abspath(destination))  # noqa: PTH100 (a symbolic link must stay what it is)
    refuse_existing(destination)
    with disk_faults(destination.parent), _parents_of(destination):
        filled = _hidden_folder(destination.parent, destination.name)
        try:
            yield filled
            _sync_tree(filled)
            _move_into_place(filled, destination)
        finally:
            shutil.rmtree(filled, ignore_errors=True)
        _sync(destination.parent)


def refuse_unwritable(destination: Path) -> None:
    """Try that a new folder could be written, before the work that will fill it. Leaves nothing.

    Raises:
        ResultsExist, EnvironmentProblem: as `new_folder` would.
    """
    with suppress(_Trial), new_folder(destination):
        raise _Trial


class _Trial(Exception):
    """Ends a block whose result is not wanted."""


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files below an existing folder; all are staged before the first replaces what is there.

    Args:
        folder: where the files go.
        contents: relative file name to bytes.

    Raises:
        EnvironmentProblem: no room, no permission, or another fault of the disk. Older files are then whole.
    """
    with disk_faults(folder):
        staged = _hidden_folder(folder, "files")
        try:
            for index, name in enumerate(sorted(contents)):
                write_file(staged / str(index), partial(_write_bytes, contents[name]))
            for index, name in enumerate(sorted(contents)):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (staged / str(index)).replace(folder / name)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Create a file, let `write` fill it, and see it safely on the disk."""
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def disk_faults(folder: Path) -> Iterator[None]:
    """Turn faults of the disk in the block into EnvironmentProblem; a full one says how much room is left."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise EnvironmentProblem(
                f"the disk has no room for it: {_room_left(folder)} are free",
                where=str(folder),
                fix="make room there, or choose a folder on another disk with --out",
            ) from error
        raise EnvironmentProblem(
            f"cannot write here: {error.strerror or error}",
            where=str(error.filename or folder),
            fix="choose a folder that you may write to with --out",
        ) from error


def _write_bytes(data: bytes, file: IO[bytes]) -> None:
    file.write(data)


def _room_left(folder: Path) -> str:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return f"{shutil.disk_usage(existing).free / 2**20:.1f} MiB"


@contextmanager
def _parents_of(destination: Path) -> Iterator[None]:
    """Make the folders above a destination; those made here go again when the block fails."""
    made = [folder for folder in destination.parents if not folder.exists()]
    destination.parent.mkdir(parents=True, exist_ok=True)
    is_done = False
    try:
        yield
        is_done = True
    finally:
        for folder in made:
            if not is_done and not any(folder.iterdir()):
                folder.rmdir()


def _hidden_folder(parent: Path, name: str) -> Path:
    """Make a folder whose name is free; two runs in PID namespaces of their own may share a process id."""
    attempt = 0
    while True:
        folder = parent / f".{name}.partial-{os.getpid()}{f'-{attempt}' if attempt else ''}"
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder


def _move_into_place(filled: Path, destination: Path) -> None:
    try:
        refuse_existing(destination)
        filled.rename(destination)
    except OSError as error:
        if error.errno in TAKEN:
            refuse_existing(destination)
        raise


def _sync_tree(folder: Path) -> None:
    for place in sorted(folder.rglob("*")):
        if place.is_dir():
            _sync(place)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
