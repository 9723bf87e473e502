"""The page in a real browser, from a file: it asks for nothing, complains of nothing, and can be read everywhere."""

import io
import socket

import pytest
from PIL import Image

from ganforge.report.page import write_report
from ganforge.storage.run_folder import RunFolder

WIDE, NARROW = 1280, 320
HOSTILE = "<script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=document.title='taken'> & friends"
OVERFLOW = "return document.documentElement.scrollWidth - window.innerWidth"
SCROLLED = """return [...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) && true).map(one => one.className)"""
PICTURES = "return [...document.images].map(one => [one.complete, one.naturalWidth, one.alt])"
CURVES = "return [...document.querySelectorAll('.panel .curves path.line')].map(one => one.getTotalLength())"
PAPER = "return getComputedStyle(document.body).backgroundColor"
INK = "return getComputedStyle(document.querySelector('.panel path.line')).stroke"
# WCAG 2.2, 1.4.3: of all texts, the least contrast with the first ground behind them that is not transparent.
CONTRAST = """
const parts = text => text.match(/[\\d.]+/g).map(Number);
const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = one => { for (let e = one; e; e = e.parentElement) { const text = getComputedStyle(e).backgroundColor;
  const c = parts(text); if (text.startsWith('rgb') && (c.length < 4 || c[3] === 1)) return c; } return [255, 255, 255]; };
const found = [];
for (const one of document.querySelectorAll('body *')) {
  if (![...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !one.checkVisibility()) continue;
  const style = getComputedStyle(one), color = parts(one.closest('svg') ? style.fill : style.color);
  const [a, b] = [light(color), light(ground(one))].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), one.textContent.slice(0, 40)]);
}
return found.sort((x, y) => x[0] - y[0])[0];
"""


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def shown(made, browser):
    def shown(*, folder=None, hostile=False, **options):
        folder = folder or made(title=HOSTILE if hostile else "Two moons")
        browser.open(write_report(folder).as_uri(), **options)
        return folder.report.as_uri()

    return shown


def sweep_of(made, **options):
    parent = made(pictures=False, **options)
    identity = parent.read_json(parent.identity)
    parent.write_json(parent.identity, {**identity, "kind": "sweep", "seeds": [0, 2]})
    for seed in range(3):
        write_report(RunFolder(made(seed=seed, parent=identity["id"]).path))
    return parent


def test_it_asks_for_itself_alone_and_logs_nothing(shown, browser):
    address = shown()
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.requests() == [address]
    assert browser.console() == []


def test_pictures_are_complete_and_curves_have_a_length(shown, browser):
    shown()
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    pictures = browser.run(PICTURES)
    assert len(pictures) == 6
    assert all(complete and width == 40 and alt for complete, width, alt in pictures)
    lengths = browser.run(CURVES)
    assert len(lengths) == 6
    assert min(lengths) > 400


def test_a_hostile_title_is_a_title(shown, browser):
    address = shown(hostile=True)
    assert browser.run("return document.querySelector('h1').textContent") == HOSTILE
    assert browser.run("return document.title") == f"{HOSTILE} · ganforge"
    assert browser.requests() == [address]
    assert browser.console() == []


def test_the_policy_forbids_what_escaping_might_let_through(shown, browser):
    shown()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        browser.run(f"const one = document.createElement('img'); one.src = '{address}'; document.body.append(one)")
        browser.run("document.body.insertAdjacentHTML('beforeend', '<p id=styled style=\"color: red\">x</p>')")
        refused = [line for line in browser.console() if "Content Security Policy" in line]
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert len(refused) == 2
    assert browser.run("return getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"


def test_dark_and_light_are_two_schemes_of_one_drawing(shown, browser):
    shown(dark=False)
    light = browser.run(PAPER), browser.run(INK)
    shown(dark=True)
    dark = browser.run(PAPER), browser.run(INK)
    assert light == ("rgb(255, 255, 255)", "rgb(31, 111, 178)")
    assert dark == ("rgb(20, 23, 27)", "rgb(95, 176, 242)")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_letters_stand_out_from_their_ground(shown, browser, made, dark):
    findings = [
        {"problem": level, "level": level, "evidence": "s", "since": 1, "iteration": 2, "remedy": "r", "key": "k"}
        for level in ("warn", "fail")
    ]
    shown(folder=made(standing="diverged", reason="nan", health={"verdict": "fail", "findings": findings}), dark=dark)
    contrast, text = browser.run(CONTRAST)
    assert contrast >= 4.5, text


@pytest.mark.parametrize("width", [NARROW, 700, WIDE])
def test_no_screen_has_to_be_moved_sideways(shown, browser, width):
    shown(width=width, hostile=True)
    assert browser.run(OVERFLOW) <= 0


@pytest.mark.parametrize("width", [NARROW, 390])
def test_nothing_that_explains_is_cut_on_a_phone(shown, browser, width):
    shown(width=width)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    cut = """const range = document.createRange();
        return [...document.querySelectorAll('p, li, a, caption, figcaption, summary, h1, h2, h3, dt, dd, svg.plot text')]
        .filter(one => one.checkVisibility() && !one.closest('.skip, pre, td, th')).filter(one => { range.selectNodeContents(one);
          const box = range.getBoundingClientRect(); return box.left < 0 || box.right > window.innerWidth; })
        .map(one => one.textContent.slice(0, 80))"""
    assert browser.run(cut) == []


@pytest.mark.parametrize("sweep", [False, True])
def test_a_phone_shows_whole_tables_recipes_and_ticks(made, shown, browser, sweep):
    folder = sweep_of(made) if sweep else made()
    shown(folder=folder, width=390)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.run(SCROLLED) == []
    cut = """return [...document.querySelectorAll('.plot text')].filter(one => { const box = one.getBoundingClientRect();
        const plot = one.ownerSVGElement.getBoundingClientRect(); const room = parseFloat(getComputedStyle(document.body).fontSize);
        return box.right > plot.right + 0.9 * room || box.left < plot.left - 0.3 * room; }).map(one => one.textContent)"""
    assert browser.run(cut) == []
    names = (
        "return [...new Set([...document.querySelectorAll('.metrics td')].map(one => getComputedStyle(one, '::before').content))]"
    )
    assert {'"Ideal"', '"Better"'} <= set(browser.run(names))


def test_a_narrow_screen_has_letters_of_the_same_size(shown, browser):
    size = "return document.querySelector('.panel text').getBoundingClientRect().height"
    shown(width=WIDE)
    wide = browser.run(size)
    shown(width=NARROW)
    assert browser.run(size) == wide


def test_what_scrolls_sideways_can_be_reached_by_keyboard(shown, browser):
    shown(width=700)
    assert browser.run(SCROLLED) != []
    assert browser.run(SCROLLED.replace("true", "one.tabIndex < 0")) == []


def test_on_paper_it_is_light_without_navigation(shown, browser):
    shown(dark=True, media="print")
    assert browser.run(PAPER) == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('nav')).display") == "none"


def test_something_is_to_be_seen(shown, browser):
    shown()
    picture = Image.open(io.BytesIO(browser.picture(WIDE, 900))).convert("L")
    assert picture.size == (WIDE, 900)
    assert len(picture.getcolors()) > 50


def test_the_page_of_a_sweep_is_as_good(made, browser, shown):
    parent = sweep_of(made, title=HOSTILE)
    for width in (NARROW, WIDE):
        address = shown(folder=parent, width=width)
        assert browser.run(OVERFLOW) <= 0
        assert browser.requests() == [address]
        assert browser.console() == []
    assert [complete for complete, *_ in browser.run(PICTURES)] == [True] * 3
    browser.run("document.querySelector('.cards a').click()")
    assert browser.run("return document.querySelectorAll('section').length") == 8
