"""The page in a real browser: drawn on, read back, by mouse, finger and keyboard."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawings import Strokes, examples
from PIL import Image, ImageDraw
from results_made import CLOTHES
from runs_made import CONFIG, finish, saved
from serve.test_process import serving

from mnistctl.data.images import DIGITS
from mnistctl.models.registry import build
from mnistctl.store import runs
from mnistctl.store.rotation import save_last

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("browser tests need Chromium", allow_module_level=True)
needed = "browser tests need: pip install '.[test-browser]'"
playwright = pytest.importorskip("playwright.sync_api", reason=needed)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=needed)
WAIT = 20_000
"""Milliseconds; a busy machine is slow."""
playwright.expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server with two runs of its own and a folder for what is collected."""
    directory = tmp_path_factory.mktemp("serve")
    store = directory / "store"
    for name, classes in {"other": DIGITS, "clothes": CLOTHES}.items():
        run = store / name
        run.mkdir(parents=True)
        config = replace(CONFIG, classes=classes)
        checkpoint = saved(weights=build("mlp", 10).state_dict(), config=config)
        runs.write_json(run, runs.CONFIG_NAME, config.to_dict())
        save_last(run, checkpoint)
        finish(run)
    own = directory / "own"
    words = ("--store", str(store), "--checkpoint", "shipped", "--collect", str(own))
    with serving(*words) as (_, document):
        yield document | {"own": own}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    arguments = ["--no-sandbox"] if os.name == "posix" and os.getuid() == 0 else []
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Page:
    """The page, and what went wrong on it."""

    def __init__(self, browser: Any, site: dict[str, Any], **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        self.tab = self.context.new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.tab.on("console", lambda m: self.complaints.append(m.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda r: self._seen(r.url, site["url"]))
        self.tab.goto(site["url"])
        playwright.expect(self.tab.locator("#model option")).to_have_count(3)

    def _seen(self, url: str, own: str) -> None:
        if not url.startswith(own):
            self.foreign.append(url)

    def draw(self, strokes: Strokes) -> None:
        """With the mouse."""
        box = self.tab.locator("#pad").bounding_box()
        for stroke in strokes:
            for index, (x, y) in enumerate(stroke):
                place = box["x"] + x * box["width"], box["y"] + y * box["height"]
                self.tab.mouse.move(*place, steps=3)
                if index == 0:
                    self.tab.mouse.down()
            self.tab.mouse.up()

    def touch(self, strokes: Strokes) -> None:
        """With a finger, which is seen in a few places between two points."""
        box = self.tab.locator("#pad").bounding_box()
        session = self.context.new_cdp_session(self.tab)
        for stroke in strokes:
            seen = np.linspace(0, len(stroke) - 1, 4 * len(stroke) - 3)
            path = [np.interp(seen, range(len(stroke)), axis) for axis in zip(*stroke, strict=True)]
            for index, (x, y) in enumerate(zip(*path, strict=True)):
                place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
                kind = "touchStart" if index == 0 else "touchMove"
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
            session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def shows(self, answer: str, verdict: str = "digit") -> None:
        playwright.expect(self.tab.locator("#verdict")).to_have_text(verdict)
        playwright.expect(self.tab.locator("#answer")).to_have_text(answer)

    def saved(self, name: int) -> None:
        playwright.expect(self.tab.locator("#collect")).to_contain_text(f"Saved as {name}")
        self.pictures_shown()

    def pictures_shown(self) -> None:
        """What is collected; what is asked for and removed meanwhile would be a complaint."""
        self.tab.locator("#collected img").evaluate_all(
            "(images) => Promise.all(images.map((image) => image.decode()))"
        )

    def explained(self, name: str) -> None:
        about = self.tab.locator(".network .about").first
        playwright.expect(about).to_have_text(f"for and against {name}")


@pytest.fixture
def page(browser: Any, site: dict[str, Any]) -> Iterator[Page]:
    page = Page(browser, site)
    yield page
    page.context.close()
    assert page.complaints == []
    assert page.foreign == []


@pytest.fixture
def phone(browser: Any, site: dict[str, Any]) -> Iterator[Page]:
    size = {"width": 390, "height": 844}
    page = Page(browser, site, viewport=size, has_touch=True, is_mobile=True)
    yield page
    page.context.close()
    assert page.complaints == []


def test_all_ten_digits_are_read_as_they_are_drawn(page: Page) -> None:
    for digit, strokes in enumerate(examples()):
        page.draw(strokes)
        page.shows(str(digit))
        page.tab.click("#clear")
        page.shows("?", "empty")
    playwright.expect(page.tab.locator("#history button")).to_have_count(10)


def test_all_ten_digits_are_read_from_a_finger_without_scrolling(phone: Page) -> None:
    phone.tab.locator("#pad").scroll_into_view_if_needed()
    before = phone.tab.evaluate("scrollY")
    for digit, strokes in enumerate(examples()):
        phone.touch(strokes)
        phone.shows(str(digit))
        phone.tab.click("#clear")
    assert phone.tab.evaluate("scrollY") == before
    assert phone.tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_undo_clear_and_the_eraser(page: Page) -> None:
    seven, one = examples()[7], examples()[1]
    page.draw(seven)
    page.shows("7")
    page.tab.click("#clear")
    page.shows("?", "empty")
    page.tab.keyboard.press("z")
    page.shows("7")
    page.tab.keyboard.press("z")
    page.shows("?", "empty")
    page.draw(one)
    page.shows("1")
    page.tab.click("#eraser")
    page.tab.locator("#width").fill("44")
    page.draw(one)
    page.shows("?", "no digit")
    page.tab.click("#undo")
    page.shows("1")


def test_the_steps_the_evidence_and_the_layers_are_shown(page: Page) -> None:
    page.draw(examples()[3])
    page.explained("3")
    playwright.expect(page.tab.locator("#layers li")).to_have_count(7)
    assert page.tab.locator("#steps li b").all_inner_texts() == [
        "1. Your picture",
        "2. Ink",
        "3. Strokes",
        "4. Input, 28 × 28",
    ]
    page.tab.locator("#probabilities button").nth(8).click()
    page.explained("8")
    label = page.tab.locator(".evidence").get_attribute("aria-label")
    assert "for and against 8" in label


def test_a_photograph_is_chosen_or_dropped_and_several_digits_are_found(
    page: Page, tmp_path: Path
) -> None:
    image = Image.new("RGB", (900, 600), (206, 200, 190))
    ImageDraw.Draw(image).line([(150, 150), (350, 150), (230, 480)], (40, 40, 90), 40, "curve")
    image.save(tmp_path / "one.jpg")
    ImageDraw.Draw(image).line([(650, 150), (650, 480)], (40, 40, 90), 40)
    image.save(tmp_path / "two.jpg")
    page.tab.set_input_files("#file", tmp_path / "one.jpg")
    page.shows("7")
    page.tab.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "two.jpg", {type: "image/jpeg"}));
            dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
        }""",
        list((tmp_path / "two.jpg").read_bytes()),
    )
    page.shows("?", "no digit")
    playwright.expect(page.tab.locator("#networks .reason")).to_contain_text(
        "tick “Several digits”"
    )
    page.tab.check("#several")
    page.shows("71")
    assert page.tab.locator("#boxes span").all_inner_texts() == ["7", "1"]
    page.tab.get_by_role("button", name="Digit 2: 1").click()
    page.explained("1")


def test_two_networks_answer_side_by_side(page: Page) -> None:
    assert page.tab.locator("#model option").all_inner_texts() == ["shipped", "clothes", "other"]
    page.tab.select_option("#other", "other")
    page.draw(examples()[5])
    page.shows("5")
    assert page.tab.locator(".who").all_inner_texts() == ["shipped", "other"]
    page.tab.select_option("#other", "")
    playwright.expect(page.tab.locator(".network")).to_have_count(1)
    page.tab.select_option("#model", "other")
    playwright.expect(page.tab.locator("#layers li")).to_have_count(2)


def test_only_the_newest_drawing_is_sent(page: Page) -> None:
    """However fast the strokes come, at most one request is under way."""
    under_way, most = set(), 0

    def begun(request: Any) -> None:
        nonlocal most
        if "predict" in request.url:
            under_way.add(request)
            most = max(most, len(under_way))

    page.tab.on("request", begun)
    page.tab.on("requestfinished", lambda request: under_way.discard(request))
    for strokes in examples()[:3]:
        page.draw(strokes)
    page.tab.click("#clear")
    page.draw(examples()[7])
    page.shows("7")
    assert most == 1


def test_an_answer_is_corrected_and_taken_back(page: Page, site: dict[str, Any]) -> None:
    page.draw(examples()[2])
    page.shows("2")
    page.tab.get_by_role("button", name="It is a 7").click()
    page.saved(7)
    (saved_as,) = (site["own"] / "7").iterdir()
    playwright.expect(page.tab.locator("#collected-note")).to_contain_text(
        f"mnistctl train --dataset {site['own']} --init shipped"
    )
    page.tab.get_by_role("button", name="Take it back").click()
    page.tab.get_by_role("button", name="Right").click()
    page.saved(2)
    assert not saved_as.exists()
    assert [path.name for path in (site["own"] / "2").iterdir()] == [saved_as.name]
    page.tab.get_by_role("button", name="Remove this picture of a 2").click()
    playwright.expect(page.tab.locator("#collected button")).to_have_count(0)


def test_enter_says_right_and_nothing_else(page: Page, site: dict[str, Any]) -> None:
    before = sorted(site["own"].rglob("*.png"))
    page.draw([[(0.1, y), (0.9, y)] for y in (0.2, 0.4, 0.6, 0.8)])
    page.shows("?", "no digit")
    page.tab.locator("#pad").press("Enter")
    page.tab.keyboard.press("c")
    page.draw(examples()[2])
    page.shows("2")
    page.tab.keyboard.press("c")
    page.shows("?", "empty")
    page.tab.locator("#pad").press("Enter")
    page.tab.wait_for_timeout(300)
    assert sorted(site["own"].rglob("*.png")) == before
    assert page.tab.locator("#message").inner_text() == ""


def test_each_of_several_digits_is_labelled(page: Page, site: dict[str, Any]) -> None:
    page.tab.check("#several")
    for left, digit in ((0.0, 1), (0.5, 7)):
        page.draw([[(left + x / 2, y) for x, y in stroke] for stroke in examples()[digit]])
    page.shows("17")
    page.tab.get_by_role("button", name="It is a 8").click()
    page.saved(8)
    second = page.tab.get_by_role("button", name="Digit 2: 7")
    second.focus()
    page.tab.keyboard.press("Enter")
    page.explained("7")
    playwright.expect(second).to_be_focused()
    page.tab.get_by_role("button", name="It is a 9").click()
    page.saved(9)
    for name in ("8", "9"):
        (saved_as,) = (site["own"] / name).iterdir()
        saved_as.unlink()


def test_lines_of_writing_are_kept_apart(page: Page) -> None:
    page.tab.check("#several")
    for top, digit in ((0.0, 1), (0.5, 7)):
        page.draw([[(x / 2, top + y / 2) for x, y in stroke] for stroke in examples()[digit]])
    page.shows("1 7")


def test_a_digit_key_labels_on_the_drawing_alone(page: Page, site: dict[str, Any]) -> None:
    page.draw(examples()[2])
    page.shows("2")
    before = sorted(site["own"].rglob("*.png"))
    page.tab.locator("#undo").focus()
    page.tab.keyboard.press("5")
    page.tab.wait_for_timeout(300)
    assert sorted(site["own"].rglob("*.png")) == before
    page.tab.locator("#pad").press("5")
    page.saved(5)
    page.tab.get_by_role("button", name="Take it back").click()
    page.tab.get_by_role("button", name="Right").wait_for()


def test_what_went_wrong_is_said_until_it_is_mended(page: Page) -> None:
    message = page.tab.locator("#message")
    broken = {"name": "x.png", "mimeType": "image/png", "buffer": b"none"}
    page.tab.locator("#file").set_input_files(broken)
    playwright.expect(message).to_have_text("This browser can't show that file as a picture.")
    page.tab.evaluate("dispatchEvent(new Event('focus'))")
    page.tab.wait_for_timeout(500)
    assert "can't show that file" in message.inner_text()
    page.draw(examples()[2])
    playwright.expect(message).to_have_text("")
    page.tab.route("**/api/predict*", lambda route: route.abort())
    page.draw(examples()[3])
    playwright.expect(message).to_contain_text("The server does not answer")
    page.explained("3")
    assert "does not answer" in message.inner_text()
    page.tab.unroute("**/api/predict*")
    page.tab.click("#clear")
    page.draw(examples()[7])
    page.shows("7")
    playwright.expect(message).to_have_text("")
    page.complaints.clear()  # the browser notes the request that was aborted


def test_clear_ends_an_example_that_is_being_drawn(page: Page) -> None:
    page.tab.locator("#pad").press("x")
    page.tab.wait_for_timeout(150)
    page.tab.keyboard.press("c")
    page.tab.wait_for_timeout(900)
    page.shows("?", "empty")


def test_a_network_of_other_classes_is_shown_pictures(page: Page) -> None:
    page.tab.select_option("#model", "clothes")
    playwright.expect(page.tab.locator("h1")).to_have_text("Draw a picture")
    assert page.tab.title() == "Draw a picture - mnistctl"
    assert page.tab.locator("#probabilities b").all_inner_texts() == list(CLOTHES)
    assert page.tab.locator("#reason").inner_text() == "Draw, or drop or paste a picture."
    for one in ("#example", "#several"):
        assert page.tab.locator(one).is_hidden()
    page.tab.locator("#pad").press("x")
    page.tab.keyboard.press("m")
    page.shows("?", "empty")
    page.draw(examples()[1])
    page.shows("?", "unknown")
    page.tab.click("#clear")
    page.tab.select_option("#model", "shipped")
    playwright.expect(page.tab.locator("h1")).to_have_text("Draw a digit")
    assert page.tab.locator("#reason").inner_text() == "Draw a digit from 0 to 9."
    assert page.tab.locator("#probabilities b").all_inner_texts() == list(DIGITS)
    page.tab.locator("#pad").press("x")
    page.shows("7")


def test_letters_are_shortcuts_where_one_draws_alone(page: Page) -> None:
    page.draw(examples()[1])
    page.explained("1")
    page.tab.locator("#probabilities button").first.press("c")
    page.tab.wait_for_timeout(300)
    page.shows("1")
    page.tab.locator("#width").focus()  # a slider takes its own keys
    page.tab.locator("#undo").press("c")
    page.shows("?", "empty")


def test_clear_takes_all_away_that_was_said_of_the_drawing(page: Page) -> None:
    page.draw(examples()[7])
    page.explained("7")
    playwright.expect(page.tab.locator("#announcement")).to_contain_text("7, ")
    page.tab.click("#clear")
    page.shows("?", "empty")
    page.tab.wait_for_timeout(500)
    assert page.tab.locator("#layers").inner_text() == "Draw something first."
    assert page.tab.locator("#announcement").inner_text() == ""
    assert page.tab.locator("#probabilities button[aria-pressed=true]").count() == 0
    names = page.tab.locator("#steps canvas").evaluate_all("all => all.map((own) => own.ariaLabel)")
    assert set(names) == {"Nothing yet"}


def test_a_first_photograph_is_explained(page: Page, tmp_path: Path) -> None:
    """Also where the answer takes longer than the page waits before it asks why."""
    image = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(image).line([(150, 60), (150, 240)], 0, 24)
    image.save(tmp_path / "one.png")

    def later(route: Any) -> None:
        page.tab.wait_for_timeout(700)
        route.continue_()

    page.tab.route("**/api/predict*", later)
    page.tab.set_input_files("#file", tmp_path / "one.png")
    page.explained("1")
    page.tab.unroute("**/api/predict*")


def test_an_answer_that_fails_leaves_no_other_standing(page: Page) -> None:
    page.draw(examples()[7])
    page.shows("7")
    refusal = {"status": 422, "json": {"error": "too large", "hint": "make it smaller"}}
    page.tab.route("**/api/predict*", lambda route: route.fulfill(**refusal))
    page.draw([[(0.3, 0.5), (0.7, 0.5)]])
    playwright.expect(page.tab.locator("#message")).to_have_text("too large: make it smaller")
    page.shows("?", "no answer")
    assert page.tab.locator("#reason").inner_text() == "There is none to this picture."
    assert page.tab.locator("#collect").is_hidden()
    page.tab.unroute("**/api/predict*")
    page.tab.evaluate("dispatchEvent(new Event('focus'))")  # it may answer again
    playwright.expect(page.tab.locator("#message")).to_have_text("")
    playwright.expect(page.tab.locator("#verdict")).not_to_have_text("no answer")
    page.complaints.clear()  # the browser notes the refusal


def test_a_label_is_of_the_drawing_that_it_was_given_to(page: Page, site: dict[str, Any]) -> None:
    page.draw(examples()[7])
    page.shows("7")

    def later(route: Any) -> None:
        page.tab.wait_for_timeout(500)
        route.continue_()

    page.tab.route("**/api/collected?*", later)
    page.tab.get_by_role("button", name="It is a 3").click()
    page.tab.click("#clear")
    page.draw(examples()[1])
    page.shows("1")
    playwright.expect(page.tab.locator("#collected button")).to_have_count(1)
    page.pictures_shown()
    playwright.expect(page.tab.locator("#collect")).to_contain_text("Right")
    page.tab.get_by_role("button", name="Remove this picture of a 3").click()
    playwright.expect(page.tab.locator("#collected button")).to_have_count(0)
    page.tab.unroute("**/api/collected?*")


def test_a_label_is_said_last_however_late_the_evidence_is(page: Page) -> None:
    def later(route: Any) -> None:
        page.tab.wait_for_timeout(700)
        route.continue_()

    page.tab.route("**/api/explain*", later)
    page.draw(examples()[7])
    page.shows("7")
    page.tab.get_by_role("button", name="It is a 3").click()
    page.saved(3)
    page.explained("7")
    assert page.tab.locator("#announcement").inner_text() == "Saved as 3"
    page.tab.get_by_role("button", name="Take it back").click()
    page.tab.get_by_role("button", name="Right").wait_for()
    page.tab.unroute("**/api/explain*")


def test_the_keyboard_stays_where_a_label_was_given(page: Page) -> None:
    page.draw(examples()[7])
    page.shows("7")
    page.explained("7")
    page.tab.get_by_role("button", name="It is a 3").focus()
    page.tab.keyboard.down("Enter")
    back = page.tab.get_by_role("button", name="Take it back")
    back.wait_for()
    for _ in range(5):
        page.tab.keyboard.down("Enter")  # held
        page.tab.wait_for_timeout(50)
    page.tab.keyboard.up("Enter")
    page.saved(3)
    playwright.expect(back).to_be_focused()
    playwright.expect(page.tab.locator("#announcement")).to_have_text("Saved as 3")
    page.tab.evaluate("dispatchEvent(new Event('focus'))")
    page.tab.wait_for_timeout(500)
    playwright.expect(back).to_be_focused()
    page.tab.keyboard.press("Enter")
    page.tab.get_by_role("button", name="Right").wait_for()
    playwright.expect(page.tab.locator("#announcement")).to_have_text("Removed from 3")


def test_a_digit_beside_a_network_of_other_classes(page: Page) -> None:
    """One that can't look for several."""
    page.tab.check("#several")
    page.tab.select_option("#other", "clothes")
    playwright.expect(page.tab.locator("#several")).not_to_be_checked()
    page.draw(examples()[1])
    page.shows("1")
    page.tab.select_option("#other", "")
    playwright.expect(page.tab.locator("#several")).to_be_visible()


POINTER = "(pad, init) => pad.dispatchEvent(new PointerEvent(init.type, {...init, bubbles: true}))"


def test_the_eraser_end_of_a_pen_and_a_palm_beside_it(page: Page) -> None:
    pad = page.tab.locator("#pad")
    box = pad.bounding_box()

    def send(kind: str, x: float, y: float, **more: Any) -> None:
        place = {"clientX": box["x"] + x * box["width"], "clientY": box["y"] + y * box["height"]}
        pad.evaluate(POINTER, {"type": kind, "isPrimary": True, **place, **more})

    page.tab.evaluate("HTMLElement.prototype.setPointerCapture = () => {}")
    pen, palm = {"pointerId": 5, "pointerType": "pen"}, {"pointerId": 9, "pointerType": "touch"}
    send("pointerdown", 0.5, 0.2, button=0, buttons=1, **pen)
    send("pointerdown", 0.9, 0.9, button=0, buttons=1, **palm)
    for y in (0.4, 0.6, 0.8):
        send("pointermove", 0.5, y, button=-1, buttons=1, **pen)
        send("pointermove", 0.9, 0.9, button=-1, buttons=1, **palm)
    send("pointerup", 0.9, 0.9, button=0, **palm)
    send("pointermove", 0.5, 0.85, button=-1, buttons=1, **pen)
    send("pointerup", 0.5, 0.85, button=0, **pen)
    page.shows("1")
    page.tab.click("#clear")
    send("pointerdown", 0.9, 0.9, button=0, buttons=1, **palm)  # the palm comes first
    send("pointerdown", 0.5, 0.2, button=0, buttons=1, **pen)
    send("pointermove", 0.5, 0.85, button=-1, buttons=1, **pen)
    send("pointerup", 0.9, 0.9, button=0, **palm)
    send("pointerup", 0.5, 0.85, button=0, **pen)
    page.tab.click("#clear")
    pad.press("Space")  # the keyboard's pen is down
    send("pointerdown", 0.5, 0.2, button=0, buttons=1, **pen)
    send("pointermove", 0.5, 0.85, button=-1, buttons=1, **pen)
    send("pointerup", 0.5, 0.85, button=0, **pen)
    page.tab.click("#clear")
    page.draw([[(0.5, 0.2), (0.5, 0.85)]])
    page.shows("1")
    page.tab.locator("#width").fill("44")
    send("pointerdown", 0.5, 0.1, button=5, buttons=32, **pen)
    send("pointermove", 0.5, 0.9, button=-1, buttons=32, **pen)
    send("pointerup", 0.5, 0.9, button=5, **pen)
    page.shows("?", "no digit")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    press = page.tab.keyboard.press
    for _ in range(3):  # past the two lists of networks
        press("Tab")
    assert page.tab.evaluate("document.activeElement.id") == "pad"
    for _ in range(11):
        press("ArrowUp")
    press("Space")
    for _ in range(22):
        press("ArrowDown")
    press("Space")
    page.shows("1")
    press("Tab")
    assert page.tab.evaluate("document.activeElement.id") == "undo"
    press("c")
    page.shows("?", "empty")
    press("x")
    page.shows("7")
    press("m")
    assert page.tab.locator("#several").is_checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_is_no_accessibility_violation(
    browser: Any, site: dict[str, Any], scheme: str
) -> None:
    page = Page(browser, site, color_scheme=scheme, reduced_motion="reduce")
    page.tab.select_option("#other", "other")
    page.draw(examples()[4])
    page.explained("4")
    found = axe.Axe().run(page.tab)
    page.context.close()
    # Of contrast axe is wary where it sees canvases: those are no violations.
    assert found.violations_count == 0, found.generate_report()
