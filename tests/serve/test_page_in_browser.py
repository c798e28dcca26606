"""The page as a person uses it: in a real browser, that asks for nothing elsewhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from web_helpers import Server, photograph, wait_until, write_clip

from sr_experiments.imaging.io import read_image, write_png
from sr_experiments.imaging.resize import imresize
from sr_experiments.upscale import __main__ as upscale

Open = Callable[..., Any]
DONE = ".row[data-state=done]"


@pytest.fixture
def visit(chromium: Any, server: Server) -> Iterator[Open]:
    """Open the page as a new visitor; it must stay silent, and ask this server alone."""
    contexts, said, asked = [], list[str](), list[str]()

    def call(width: int = 1280, scheme: str = "light", locale: str = "en-US") -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.wait_for_selector("[data-ready]")
        return page

    yield call
    for context in contexts:
        context.close()
    assert said == []
    assert {urlsplit(url).netloc or urlsplit(url).scheme for url in asked} <= {
        f"127.0.0.1:{server.port}",
        "blob",
        "data",
    }


def press(page: Any, name: str, file: str) -> None:
    page.locator(f'.row:has-text("{file}") [data-do={name}]').click()


def test_an_image_is_enlarged_compared_and_downloaded(visit: Open, tmp_path: Path) -> None:
    page = visit()
    truth = photograph(150, 180)
    write_png(tmp_path / "small.png", imresize(truth, 1 / 3))
    write_png(tmp_path / "truth.png", truth)
    page.get_by_label("3", exact=True).check()
    # Dropped from the desktop: the browser's own data transfer.
    content = list((tmp_path / "small.png").read_bytes())
    transfer = page.evaluate_handle(
        """bytes => { const t = new DataTransfer();
        t.items.add(new File([new Uint8Array(bytes)], 'small.png')); return t; }""",
        content,
    )
    page.dispatch_event("#dropzone", "drop", {"dataTransfer": transfer})
    press(page, "start", "small.png")
    page.wait_for_selector(DONE)
    with page.expect_download() as download:
        page.locator("[data-is=download]").click()
    assert download.value.suggested_filename == "small-x3.png"
    download.value.save_as(tmp_path / "page.png")
    large = tmp_path / "cli.png"
    assert upscale.main([str(tmp_path / "small.png"), str(large), "--scale", "3"]) == 0
    assert (tmp_path / "page.png").read_bytes() == large.read_bytes()

    press(page, "compare", "small.png")
    slider = page.get_by_label("Divider between bicubic and network")
    shown = page.locator(".comparison")
    sizes = "[...document.querySelectorAll('.comparison img')].map(i => i.naturalWidth)"
    wait_until(lambda: page.evaluate(sizes) == [180, 180])
    seen = {}
    for key, place in (("Home", "0"), ("End", "100")):  # by keyboard
        slider.press(key)
        assert slider.input_value() == place
        shown.screenshot(path=tmp_path / f"{key}.png")
        image = read_image(tmp_path / f"{key}.png")[40:110, 20:160].astype(int)
        seen[key] = image
    # All of it the network's at one end, and bicubic at the other; the page may begin the image
    # on a fraction of a pixel, which a screen rounds.
    large_one = read_image(large).astype(int)
    plain = imresize(read_image(tmp_path / "small.png"), 3).astype(int)

    def distance(image: np.ndarray, other: np.ndarray) -> int:
        shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        return min(
            np.abs(image - other[40 + dy : 110 + dy, 20 + dx : 160 + dx]).max() for dy, dx in shifts
        )

    assert distance(seen["Home"], large_one) <= 2 < 8 < distance(seen["Home"], plain)
    assert distance(seen["End"], plain) <= 2 < 8 < distance(seen["End"], large_one)
    box = shown.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 100)
    page.mouse.up()
    assert float(slider.input_value()) == pytest.approx(25, abs=1)

    page.get_by_label("Magnifier").check()
    place = "document.querySelector('.lens img').style.left"
    before = page.evaluate(place)
    shown.press("ArrowRight")
    assert page.evaluate(place) != before

    with page.expect_file_chooser() as chooser:
        press(page, "reference", "small.png")
    chooser.value.set_files(tmp_path / "truth.png")
    page.wait_for_selector(".more:has-text('protocol y: bicubic')")
    press(page, "remove", "small.png")
    page.wait_for_selector("#no-files:visible")
    assert page.locator("#view").is_hidden()


def test_of_several_one_is_cancelled_and_a_video_is_played(
    visit: Open, server: Server, tmp_path: Path
) -> None:
    page = visit(width=390, scheme="dark", locale="ko-KR")
    clip = write_clip(tmp_path / "clip.mkv", seconds=0.8)
    write_png(tmp_path / "large.png", photograph(900, 900))
    write_png(tmp_path / "last.png", photograph())
    (tmp_path / "notes.mp4.txt").write_text("no")
    names = ["clip.mkv", "large.png", "last.png", "notes.mp4.txt"]
    page.set_input_files("#files", [tmp_path / name for name in names])
    page.wait_for_selector(".row:has-text('notes.mp4.txt'):has-text('지원하지 않는 형식입니다')")
    wait_until(lambda: page.locator(".row[data-state=ready]").count() == 3)
    page.get_by_role("button", name="모두 시작").click()
    large = '.row:has-text("large.png")'
    page.wait_for_selector(f"{large} [data-do=cancel]:visible")
    press(page, "cancel", "large.png")
    page.wait_for_selector(f"{large}[data-state=cancelled]")
    wait_until(lambda: page.locator(DONE).count() == 2)
    press(page, "compare", "clip.mkv")
    page.get_by_role("button", name="재생").click()
    played = "[...document.querySelectorAll('.videos video')].map(v => [v.currentTime > 0.5, "
    played += "v.videoWidth, v.videoHeight, v.error])"
    wait_until(lambda: page.evaluate(played) == [[True, 128, 96, None]] * 2)
    with page.expect_download() as download:
        page.locator(f'{DONE}:has-text("clip.mkv") [data-is=download]').click()
    download.value.save_as(tmp_path / "page.mkv")
    assert upscale.main([str(clip), str(tmp_path / "cli.mkv")]) == 0
    av = pytest.importorskip("av")
    frames = []
    for name in ("page.mkv", "cli.mkv"):
        with av.open(str(tmp_path / name)) as file:
            frames.append([f.to_ndarray(format="rgb24") for f in file.decode(video=0)])
    assert len(frames[0]) == 20 and np.array_equal(*map(np.stack, frames))
    # The list is the server's: it stays when the page is opened again, in the other language too.
    page.get_by_role("link", name="English").click()
    page.wait_for_selector(".row:has-text('large.png'):has-text('Cancelled')")
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_the_page_fits_and_follows_the_system(visit: Open, width: int, scheme: str) -> None:
    page = visit(width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    style = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, style[style.index("(") + 1 : -1].split(",")[:3])) > 380
    assert light == (scheme == "light")
    consent = page.get_by_label("Keep my images on this server")
    assert consent.is_visible() and not consent.is_checked()
    # By keyboard alone: from the top to the button that adds files, each stop in sight.
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText"))
    assert reached[:3] == ["English", "한국어", "Add files"]
    with page.expect_file_chooser():
        page.get_by_role("button", name="Add files").press("Enter")


def test_consent_is_for_the_images_that_are_started_with_it(
    visit: Open, server: Server, tmp_path: Path
) -> None:
    page = visit()
    kept = len(list(server.kept.glob("*"))) if server.kept.exists() else 0
    for name, agreed in (("no.png", False), ("yes.png", True)):
        write_png(tmp_path / name, photograph(30, 30))
        page.get_by_label("Keep my images on this server").set_checked(agreed)
        page.set_input_files("#files", tmp_path / name)
        page.wait_for_selector(f".row:has-text('{name}') [data-do=start]:visible")
        press(page, "start", name)
        page.wait_for_selector(f"{DONE}:has-text('{name}')")
        kept += agreed
        assert len(list(server.kept.glob("*.png")) if server.kept.exists() else []) == kept
