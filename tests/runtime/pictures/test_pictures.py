"""Pictures in files and on contact sheets."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, OutputExistsError
from amused_edge.runtime.pictures import ImageArray, check_png_path, contact_sheet, write_png

GAP = 6


def picture(value: int = 0, height: int = 4, width: int = 5) -> ImageArray:
    image = np.random.default_rng(value).integers(0, 250, (height, width, 3))
    return image.astype(np.uint8)


@pytest.mark.parametrize("name", ["fox.png", "FOX.PNG", "fox.v1.png"])
def test_pixels_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    write_png(picture(), tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), picture())
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [name]


@pytest.mark.parametrize("check", [check_png_path, lambda path: write_png(picture(), path)])
@pytest.mark.parametrize("name", ["fox", "fox.jpg", "fox.png.txt", ".png"])
def test_another_suffix_is_refused(tmp_path: Path, check: object, name: str) -> None:
    with pytest.raises(OptionsError, match=r"does not end in \.png; pictures are written as PNG"):
        check(tmp_path / name)  # type: ignore[operator]
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("check", [check_png_path, lambda path: write_png(picture(), path)])
def test_a_missing_folder_is_refused(tmp_path: Path, check: object) -> None:
    with pytest.raises(OptionsError, match=r"folder .*missing does not exist; create it first"):
        check(tmp_path / "missing" / "fox.png")  # type: ignore[operator]
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("check", [check_png_path, lambda path: write_png(picture(), path)])
def test_an_existing_file_is_refused_and_kept(tmp_path: Path, check: object) -> None:
    (tmp_path / "fox.png").write_text("mine")
    with pytest.raises(OutputExistsError, match="exists; choose another name or remove it"):
        check(tmp_path / "fox.png")  # type: ignore[operator]
    assert (tmp_path / "fox.png").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["fox.png"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the check: minutes of drawing may lie between."""
    save = Image.Image.save

    def interrupted(self: Image.Image, *args: object, **kwargs: object) -> None:
        save(self, *args, **kwargs)  # type: ignore[arg-type]
        (tmp_path / "fox.png").write_text("mine")

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(OutputExistsError, match="exists"):
        write_png(picture(), tmp_path / "fox.png")
    assert (tmp_path / "fox.png").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["fox.png"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_no_partial_file_is_left_by_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    expected = AmusedEdgeError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_png(picture(), tmp_path / "fox.png")
    assert [file for file in tmp_path.iterdir() if file.is_file()] == []


def test_the_reason_of_a_failed_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(AmusedEdgeError, match=r"cannot write .*fox\.png: No space left on device"):
        write_png(picture(), tmp_path / "fox.png")


def no_links(*_: object) -> None:
    raise OSError(1, "Operation not permitted")


def test_a_file_system_without_hard_links_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory cards and USB sticks have none."""
    monkeypatch.setattr(os, "link", no_links)
    write_png(picture(), tmp_path / "fox.png")
    with Image.open(tmp_path / "fox.png") as image:
        assert np.array_equal(np.asarray(image), picture())
    with pytest.raises(OutputExistsError):
        write_png(picture(1), tmp_path / "fox.png")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["fox.png"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a POSIX matter")
def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    """Temporary files are private to the user; a picture shown by a web server must not be."""
    (tmp_path / "other").write_text("")
    write_png(picture(), tmp_path / "fox.png")
    assert (tmp_path / "fox.png").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="dangling links are a POSIX matter")
def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "fox.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(OutputExistsError):
        write_png(picture(), tmp_path / "fox.png")
    assert not (tmp_path / "elsewhere.png").exists()


def test_a_sheet_has_room_for_its_pictures_and_gaps() -> None:
    sheet = contact_sheet([picture(i) for i in range(5)], columns=3)
    assert sheet.shape == (2 * (4 + GAP) + GAP, 3 * (5 + GAP) + GAP, 3)
    assert sheet.dtype == np.uint8


@pytest.mark.parametrize("scale", [1, 3])
def test_pictures_are_placed_row_by_row_on_white(scale: int) -> None:
    images = [picture(i) for i in range(5)]
    sheet = contact_sheet(images, columns=3, scale=scale).copy()
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        top, left = GAP + row * (4 * scale + GAP), GAP + column * (5 * scale + GAP)
        place = np.s_[top : top + 4 * scale, left : left + 5 * scale]
        assert np.array_equal(sheet[place], np.kron(image, np.ones((scale, scale, 1), np.uint8)))
        sheet[place] = 255
    assert (sheet == 255).all()


def test_a_sheet_is_no_wider_than_its_pictures() -> None:
    assert contact_sheet([picture()], columns=8).shape == (4 + 2 * GAP, 5 + 2 * GAP, 3)


def test_captions_stand_below_their_pictures() -> None:
    images = [np.full((40, 60, 3), 200, np.uint8)] * 2
    sheet = contact_sheet(images, columns=2, captions=["", "fox"])
    assert sheet.shape[0] > contact_sheet(images, columns=2).shape[0]
    below = sheet[GAP + 40 :]
    assert (below[:, : GAP + 60 + GAP] == 255).all()
    assert (below[:, GAP + 60 + GAP :] < 128).any()
    assert (sheet[GAP : GAP + 40, GAP : GAP + 60] == 200).all()


def test_long_captions_get_more_lines() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    short, long = (contact_sheet([image], 1, captions=[text]).shape[0] for text in ("fox", "a red fox " * 5))
    assert long > short


@pytest.mark.parametrize(
    ("count", "options"), [(0, {}), (2, {"captions": ["one"]}), (1, {"columns": 0}), (1, {"scale": 0})]
)
def test_a_sheet_that_cannot_be_laid_out_is_refused(count: int, options: dict[str, Any]) -> None:
    images = [np.zeros((4, 4, 3), np.uint8)] * count
    with pytest.raises(OptionsError, match=f"a sheet of {count} pictures"):
        contact_sheet(images, **{"columns": 2, **options})


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    """Once, the unfinished file's longer name was refused after the picture was drawn."""
    path = tmp_path / ("x" * 251 + ".png")
    write_png(np.zeros((2, 2, 3), np.uint8), path)
    assert path.is_file()
    assert len(list(tmp_path.iterdir())) == 1
