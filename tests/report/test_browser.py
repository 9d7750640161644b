"""The page in a real headless Chromium: no error, no request, its controls work, and hostile text does nothing."""

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def page_file(whole_run, tmp_path_factory):
    from diverseevol.report import write_report

    file = tmp_path_factory.mktemp("page") / "a.html"
    write_report([whole_run], file)
    return file


@pytest.fixture
def visit(browser):
    """Open a page; whatever it says on the console, throws or asks the network for ends up in `complaints`."""
    contexts = []

    def open_page(file, width=1280, scheme="light", touch=False, before=lambda page: None):
        context = browser.new_context(
            viewport={"width": width, "height": 850},
            color_scheme=scheme,
            reduced_motion="reduce",
            has_touch=touch,
            is_mobile=touch,
        )
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (page.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("data:", "blob:", f"file://{file}")) else page.complaints.append(asked.url)
            ),
        )
        before(page)
        page.goto(f"file://{file}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def see_everything(page):
    """Scroll through the page so that every chart is drawn, and open all that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for place in page.locator(".plot").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()


def at(page, place):
    """Where on the screen a sample of the map lies, by the chart's own axes."""
    script = """(place) => {
      const data = JSON.parse(document.getElementById('page-data').textContent).map;
      const plot = document.getElementById('map-plot'), box = plot.getBoundingClientRect();
      const [x, y] = [plot.layout.xaxis.range, plot.layout.yaxis.range], inner = [box.width - 16, box.height - 16];
      return [box.left + 8 + inner[0] * (data.xy[place][0] - x[0]) / (x[1] - x[0]), box.top + 8 + inner[1] * (y[1] - data.xy[place][1]) / (y[1] - y[0])];
    }"""
    return page.evaluate(script, place)


def ready_map(page):
    page.locator("#map").scroll_into_view_if_needed()
    page.locator("#map-plot[data-ready]").wait_for()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = rgb(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!text || !node.checkVisibility() || node.closest('svg, script, style, .skip')) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.tagName} ${node.textContent.slice(0, 30)}`);
  }
  return low;
}"""


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_no_complaint_nothing_sticks_out_and_text_has_the_contrast_of_wcag_aa(visit, page_file, width, scheme):
    page = visit(page_file, width, scheme, touch=width == 390)
    see_everything(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".plot").count() == page.locator(".plot .main-svg:first-child").count() == 9
    assert page.evaluate(CONTRAST) == []
    assert page.complaints == []


def test_slider_shows_what_each_round_picked(visit, page_file):
    page = visit(page_file)
    ready_map(page)
    slider, says = page.locator("#map-round"), page.locator("#map-says")
    counts = "() => document.getElementById('map-plot').data.slice(1, 3).map((trace) => trace.x.length)"
    assert says.text_content() == "Round 2: 4 picks, 10 before"
    assert page.evaluate(counts) == [10, 4]
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert says.text_content() == "Round 1: 4 picks, 6 before"
    assert slider.get_attribute("aria-valuetext") == "Round 1: 4 picks, 6 before"
    page.wait_for_function("() => document.getElementById('map-plot').data[1].x.length === 6")
    page.keyboard.press("Home")
    assert says.text_content() == "Round 0: 6 picks, 0 before"
    page.wait_for_function("() => document.getElementById('map-plot').data[1].x.length === 0")
    assert page.evaluate(counts) == [0, 6]
    assert page.complaints == []


def test_hover_shows_the_sample(visit, page_file):
    page = visit(page_file)
    ready_map(page)
    for place, words in ((20, ("Round 2, pick 1, pool row 20", "Question 20 on colours", "0.3333 from its nearest chosen sample", "Question 0 on letters")),
                         (40, ("Not picked, pool row 40", "Question 40 on numbers"))):  # fmt: skip
        x, y = at(page, place)
        page.mouse.move(x + 3, y + 3)
        page.mouse.move(x, y)
        page.wait_for_function("(word) => document.getElementById('map-card').textContent.includes(word)", arg=words[0])
        text = page.locator("#map-card").inner_text()
        assert all(word in text for word in words), text
    assert page.complaints == []


def test_map_can_be_enlarged_and_comes_back(visit, page_file):
    page = visit(page_file)
    ready_map(page)
    ranges = "() => document.getElementById('map-plot').layout.xaxis.range"
    before = page.evaluate(ranges)
    image = page.evaluate("document.getElementById('map-plot').layout.images[0].source")
    box = page.locator("#map-plot").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 300, steps=4)
    page.mouse.up()
    page.wait_for_function("(image) => document.getElementById('map-plot').layout.images[0].source !== image", arg=image)
    after = page.evaluate(ranges)
    assert before[0] < after[0] < after[1] < before[1]
    page.mouse.dblclick(box["x"] + 300, box["y"] + 200)
    page.wait_for_function(
        "(low) => Math.abs(document.getElementById('map-plot').layout.xaxis.range[0] - low) < 1e-9", arg=before[0]
    )
    assert page.complaints == []


def test_search_narrows_the_table(visit, page_file):
    page = visit(page_file)
    page.locator("#picks-search").fill("Colours QUESTION")
    page.wait_for_function("() => document.getElementById('picks-says').textContent === '5 of 14 picks'")
    texts = page.locator("#picks-table tbody .open").all_inner_texts()
    assert sorted(texts) == sorted(f"Question {row} on colours" for row in (2, 5, 11, 20, 23))
    page.locator("#picks-search").fill("nothing holds this")
    page.wait_for_function("() => document.getElementById('picks-says').textContent === '0 of 14 picks'")
    assert page.locator("#picks-table tbody tr").count() == 0


def test_columns_sort_both_ways(visit, page_file):
    page = visit(page_file)
    cells = "(column) => [...document.querySelectorAll('#picks-table tbody tr')].map((row) => row.children[column].textContent)"
    heads = page.locator("#picks-table th")
    assert heads.nth(3).get_attribute("aria-sort") == "descending"  # the farthest first
    assert page.evaluate(cells, 3) == ["0.5", "0.3333", "0.3333", "0.25", "0.25", "0.2", "0.2", "0.1667", *["–"] * 6]
    heads.nth(3).locator("button").click()
    assert heads.nth(3).get_attribute("aria-sort") == "ascending"
    assert page.evaluate(cells, 3) == ["0.1667", "0.2", "0.2", "0.25", "0.25", "0.3333", "0.3333", "0.5", *["–"] * 6]
    heads.nth(0).locator("button").click()
    assert (heads.nth(0).get_attribute("aria-sort"), heads.nth(3).get_attribute("aria-sort")) == ("ascending", None)
    assert page.evaluate(cells, 0) == [
        "0, 1",
        "0, 2",
        "0, 3",
        "0, 4",
        "0, 5",
        "0, 6",
        *[f"{index}, {pick}" for index in (1, 2) for pick in (1, 2, 3, 4)],
    ]
    heads.nth(2).locator("button").click()
    tokens = [int(text) for text in page.evaluate(cells, 2)]
    assert tokens == sorted(tokens) and len(set(tokens)) > 3
    heads.nth(1).locator("button").click()
    texts = page.evaluate(cells, 1)
    assert texts == sorted(texts)


def test_a_pick_unfolds_and_is_shown_on_the_map(visit, page_file):
    page = visit(page_file)
    page.locator("#picks-search").fill('"question 11 ')
    page.locator("#picks-search").fill("question 11")
    page.wait_for_function("() => document.getElementById('picks-says').textContent === '1 of 14 picks'")
    opener = page.locator("#picks-table .open")
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    text = page.locator("#picks-table .sample").inner_text()
    assert "Answer 11 and more" in text and "Nearest chosen sample, pool row 0" in text and text.count("Left out nearby, ") == 3
    page.locator("#picks-table .button").click()
    page.wait_for_function("() => document.getElementById('map-plot').data?.[3]?.x.length === 2")
    assert page.locator("#map-says").text_content() == "Round 1: 4 picks, 6 before"
    assert "Round 1, pick 2, pool row 11" in page.locator("#map-card").inner_text()
    opener.click()
    assert page.locator("#picks-table .sample").count() == 0
    assert page.complaints == []


def test_charts_follow_the_colour_scheme(visit, page_file):
    page = visit(page_file)
    see_everything(page)
    colour = "document.querySelector('[data-figure=heldout-loss]').data[0].line.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {colour} !== '{light}'")
    assert page.complaints == []


def test_paper_shows_what_was_never_scrolled_to(visit, page_file):
    page = visit(page_file)
    n_charts = page.locator("[data-figure]").count()
    assert page.locator("[data-figure] .main-svg").count() < 3 * n_charts  # drawn when they come near
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("[...document.querySelectorAll('[data-figure]')].every((place) => place.querySelector('.main-svg'))")
    page.wait_for_selector("#map [data-ready=yes]")
    assert page.complaints == []


def test_every_control_has_a_name_and_every_chart_a_table(visit, page_file):
    page = visit(page_file)
    see_everything(page)
    for control in page.locator("input, select, button:visible, summary").all():
        assert control.evaluate(
            "(one) => (one.labels?.[0]?.textContent || one.textContent || one.getAttribute('aria-label') || '').trim()"
        ), control
    for figure in page.locator("figure").all():
        figure.locator("table tbody tr").first.wait_for()
    assert page.locator("h1").count() == 1
    assert page.locator(".plot:not([aria-label])").count() == 0


@pytest.fixture(scope="module")
def hostile_file(made, hostile_run, tmp_path_factory):
    from diverseevol.report import write_report

    file = tmp_path_factory.mktemp("hostile") / "h.html"
    other = made.make_run(
        hostile_run.parent / "<img src=x onerror='window.hit=9'>",
        made.hostile_records(),
        strategy="random",
        vectors=made.vectors(46),
    )
    write_report([hostile_run, other.root], file)
    return file


def test_hostile_texts_do_nothing_and_are_shown_as_they_are(visit, hostile_file):
    width = 390
    page = visit(hostile_file, width, touch=True)
    see_everything(page)
    ready_map(page)
    for place in range(0, page.evaluate("() => document.getElementById('map-plot').data[0].x.length"), 5):
        page.mouse.move(*[value + 4 for value in at(page, place)])
        page.mouse.move(*at(page, place))
    for opener in page.locator("#picks-table .open").all():
        opener.click()
    for chart in page.locator("[data-figure]").all():
        chart.hover()
    texts = page.locator("#picks-table .open").all_inner_texts()
    assert any(text.startswith("<script>window.hit = 1; alert(1)</script>") for text in texts)
    names = page.locator("[data-figure=lengths] .legendtext").all_text_contents()
    assert names == ["pool", "picks of a", "picks of <img src=x onerror='window.hit=9'>"]
    assert not any("\u202e" in text for text in page.locator("body").all_inner_texts())
    page.locator("#picks-search").fill("<script>")
    page.wait_for_function("() => !document.getElementById('picks-says').textContent.startsWith('28 of')")
    assert page.evaluate("() => window.hit") is None
    assert (
        page.locator(
            "main script, iframe, object, embed, base, main img, main link, main meta, main style:not(.plot style)"
        ).count()
        == 0
    )
    assert page.locator("main [onload], main [onerror], main [onmouseover], main [onfocus], main a:not([href^='#'])").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.complaints == []


def test_the_policy_stops_a_script_that_would_get_in(visit, page_file):
    page = visit(page_file)
    page.evaluate("() => document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.hit = 1\">')")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hit = 2'; document.body.append(s); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("() => window.hit") is None
    assert all("Content Security Policy" in complaint for complaint in page.complaints) and page.complaints


def test_runs_can_be_chosen_on_the_map_and_in_the_table(visit, hostile_file):
    page = visit(hostile_file)
    ready_map(page)
    page.locator("#map-run").select_option("1")
    page.wait_for_function("() => document.getElementById('map-plot').data[2].x.length === 4")
    assert page.locator("#map-says").text_content() == "Round 2: 4 picks, 10 before"
    page.locator("#picks-run").select_option("1")
    assert page.locator("#picks-says").text_content() == "14 of 28 picks"
    assert page.locator("#map-run option").nth(1).text_content() == "<img src=x onerror='window.hit=9'>"
    assert page.complaints == []


def saved(page, button):
    with page.expect_download() as download:
        page.locator(button).click()
    return download.value.suggested_filename, download.value.path()


def test_figures_are_saved_as_csv_and_png(visit, page_file):
    page = visit(page_file)
    see_everything(page)
    name, file = saved(page, "[data-csv=covering-radius]")
    band = [f'"random sets, mean and 5–95 %{end}"' for end in (", low", ", high", "")]
    lines = file.read_text("utf-8").splitlines()
    assert (name, lines[0], len(lines)) == ("covering-radius.csv", ",".join(["samples chosen", "k_center", *band]), 4)
    assert lines[1].startswith("6,0.9,")
    assert saved(page, "[data-csv=coverage]")[1].read_text().splitlines()[1].startswith("letters,0.3333333333333333,")
    rows = page.locator("[data-table=cost] tbody tr").all_inner_texts()
    assert rows[0].split() == ["0", "31.8%", "32.5%"]
    name, file = saved(page, "[data-png=heldout-loss]")
    with Image.open(file) as image:
        assert (name, image.size) == ("heldout-loss.png", (1800, 1040))
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20  # something is drawn
    name, file = saved(page, "#picks-csv")
    lines = file.read_text("utf-8").splitlines()
    assert name == "picks.csv" and len(lines) == 15 and lines[1].startswith("a,1,1,")
    assert page.complaints == []


def test_texts_are_no_formulas_in_a_spreadsheet(visit, hostile_file):
    page = visit(hostile_file)
    text = saved(page, "[data-csv=coverage]")[1].read_text("utf-8")
    assert "\"'=HYPERLINK(" in text and not any(line[:1] in "=@" for line in text.splitlines())


def test_a_comparison_draws_its_differences_with_their_intervals(visit, made, tmp_path):
    from diverseevol.report import write_report

    write_report([made.make_comparison(tmp_path / "cmp")], tmp_path / "c.html")
    page = visit(tmp_path / "c.html")
    page.locator("#summary table").first.wait_for()
    assert page.locator("#summary pre").count() == 1
    page.locator("[data-figure='difference-heldout-loss']").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('[data-figure=difference-heldout-loss]').data")
    band = page.evaluate("() => document.querySelector('[data-figure=difference-heldout-loss]').data.map((one) => one.y)")
    assert band == [[-0.3, -0.4], [-0.1, -0.2], [-0.2, -0.3], [0, 0]]
    page.locator("[data-figure='difference-balanced-loss']").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('[data-figure=difference-balanced-loss]').data")
    marks = page.evaluate(
        "() => document.querySelector('[data-figure=difference-balanced-loss]').data.map((one) => [one.mode, one.y])"
    )
    assert marks[:2] == [["markers", [-0.3]], ["markers", [0.1]]]  # a band of one point has no room
    assert page.complaints == []
