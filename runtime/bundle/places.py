"""Places to write to: what can be known of them before any work is done.

Everything that writes asks here first, so that a name that cannot be does not cost the work.
"""

import contextlib
import os
import stat
from pathlib import Path

from amused_edge.runtime.bundle.manifest import MANIFEST_NAME, Manifest
from amused_edge.runtime.errors import BundleError, OptionsError, OutputExistsError
from amused_edge.runtime.system.library_paths import check_name, library_path


def check_free(path: Path) -> None:
    """Check that a new folder, or a file beside one, can be made; parents that are missing will be made too.

    Raises
    ------
    OutputExistsError
        There is something at this place, if only a link to nothing.
    OptionsError
        The name is none, too long or not UTF-8, a parent is a file or may not be written to, or the place is inside a
        bundle.
    """
    check_name(path)
    library_path(path)  # engines open what is written there
    existing, missing = _split(path)
    if not missing:
        raise OutputExistsError(f"{path} exists; choose another folder or remove it")
    check_folder(existing)
    _check_lengths(existing, missing, path)
    check_outside_bundles(path)


def check_new_file(path: Path) -> None:
    """Check that a new file can be made in a folder that is there already; raises as `check_free`."""
    check_name(path)
    existing, missing = _split(path)
    if not missing:
        raise OutputExistsError(f"{path} exists; choose another name or remove it")
    if len(missing) > 1:
        raise OptionsError(f"folder {path.parent} does not exist; create it first")
    check_folder(existing)
    _check_lengths(existing, missing, path)


def check_folder(folder: Path) -> None:
    """Raise `OptionsError` if a folder is not there, or nothing can be written into it."""
    try:
        is_folder = stat.S_ISDIR(folder.resolve(strict=True).stat().st_mode)  # the working folder may be gone
    except FileNotFoundError as error:
        raise OptionsError(f"folder {folder} does not exist; create it first") from error
    except (OSError, ValueError, RuntimeError) as error:  # the last: links in a loop
        raise OptionsError(f"{folder} cannot be read: {_reason(error)}; choose another folder") from error
    if not is_folder:
        raise OptionsError(f"{folder} is a file, where a folder is needed; choose another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionsError(f"folder {folder} cannot be written to; choose another one")


def check_outside_bundles(path: Path) -> None:
    """Raise `OptionsError` if a path lies inside a bundle, which never changes."""
    for parent in path.resolve().parents:
        with contextlib.suppress(OSError, UnicodeDecodeError, BundleError):
            Manifest.from_json((parent / MANIFEST_NAME).read_text(encoding="utf-8"))
            raise OptionsError(f"{path} lies inside the bundle {parent}, which never changes; choose a place elsewhere")


def _split(path: Path) -> tuple[Path, list[str]]:
    """Return the part of a path that is there, be it a link to nothing, and the names that are not."""
    missing: list[str] = []
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            place.lstat()
            return place, missing
        missing.insert(0, place.name)
    return path.parents[-1], missing


def _check_lengths(existing: Path, missing: list[str], path: Path) -> None:
    """Ask the file system of each new name whether it takes it, which it says only where the name's folder exists."""
    for place in (*(existing / name for name in missing), path):
        try:
            place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise OptionsError(f"{path} cannot be written: {_reason(error)}; choose another place") from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
