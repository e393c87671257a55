"""Who is told how far a download is."""

from amused_edge.runtime.hub.progress import bar_class, downloads_shown_by


def test_a_bar_that_is_there_shows_downloads_too() -> None:
    """Two would draw over each other. A download that begins anew counts back."""
    told: list[tuple[str, int, int]] = []
    assert bar_class("file", 0, 10) is None
    with downloads_shown_by(lambda *what: told.append(what)):
        made = bar_class("second", 10, 30)
        assert made is not None
        with made(total=20, initial=5, desc="as the library calls it") as bar:
            for part in (10, -15, 20):
                bar.update(part)
    assert told == [("second", done, 30) for done in (15, 25, 10, 30)]
    assert bar_class("file", 0, 10) is None
