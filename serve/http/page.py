"""The page: static files that `make studio` builds from `apps/web` and that come with the package."""

from pathlib import Path

from amused_edge.runtime.errors import OptionsError
from amused_edge.serve.http.files import File

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"


def page_files(folder: Path = FOLDER) -> dict[str, File]:
    """Return the files of a page by their path in it; no others are served.

    Raises
    ------
    OptionsError
        There is no page.
    """
    if not (folder / INDEX).is_file():
        raise OptionsError(
            f"the page was not built: there is no {INDEX} in {folder}; install a wheel of a release, which holds it, "
            "or call `make studio install` in a clone, which needs npm; --api-only serves without a page"
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): File.of(path) for path in files if not _hidden(path, folder)}


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
