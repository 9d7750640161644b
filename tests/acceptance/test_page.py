"""The report in a real browser: it draws, asks for nothing, and runs no text of the pool."""

from outside import QUICK, must, pool_rows, run_cli, write_jsonl

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def see(browser, file):
    """Scroll through the page; the charts drawn, and whatever was said on the console, asked of the network or of the user."""
    page, complaints = browser.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or complaints.append(asked.url))
    page.goto(f"file://{file}")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for place in page.locator(".main-svg, .plot").all()[:12]:
        place.scroll_into_view_if_needed()
    page.locator(".main-svg").first.wait_for()
    return page, complaints


def test_the_page_of_a_run_draws_its_charts_and_fetches_nothing(finished_run, browser, tmp_path):
    must(run_cli("report", finished_run, "--out", tmp_path / "a.html"))
    page, complaints = see(browser, tmp_path / "a.html")
    assert complaints == []
    assert page.locator(".main-svg").count() > 3
    assert "bridges in" in page.content()


def test_hostile_text_is_shown_and_not_run(model, browser, tmp_path):
    rows = [row | {"instruction": f"{HOSTILE} {row['instruction']}", "kind": HOSTILE} for row in pool_rows(30)]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 1, "--n-init", 4, "--n-new", 4)
    must(run_cli("run", *words, *QUICK))
    must(run_cli("report", tmp_path / "run", "--out", tmp_path / "a.html", "--labels", "kind"))
    page, complaints = see(browser, tmp_path / "a.html")
    assert complaints == []
    assert "<script>alert(1)</script>" in page.locator("body").text_content()
