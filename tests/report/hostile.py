"""Records whose texts try to get out of wherever they are put."""

NASTY = (
    "<script>window.hit = 1; alert(1)</script>",
    "</script><script>window.hit = 2</script>",
    "</style></title></textarea></template><svg onload='window.hit = 3'>",
    "<img src=x onerror=\"window.hit = 4\"> <a href='javascript:window.hit=5'>click</a>",
    "<!--<script>", "]]>-->", "{{ 7 * 7 }} {% raw %} ${7*7} `", "&lt;script&gt;window.hit = 6&lt;/script&gt;",
    "\" onmouseover=\"window.hit = 7\" x=\"", "' autofocus onfocus='window.hit = 8' x='",
    "\u202eright to left\u202c \u2066isolated \u200f\u200e", "مرحبا بالعالم", "\u2028\u2029 line ends", "\x07\x1b[31mred\x00",
    "\ud83d half of a pair", "W" * 100_000, "<b>" * 20_000, "=HYPERLINK(\"http://example.org\")", "$\\frac{1}{0}$ \\input{x}", "<iframe src='http://example.org/'>",
    "<meta http-equiv='refresh' content='0;url=http://example.org'>", "<link rel=stylesheet href=http://example.org/x.css>", "<base href='http://example.org/'>",
)  # fmt: skip


def records(n=46):
    """Each text as question, input, answer and label."""
    return [{"instruction": NASTY[at % len(NASTY)], "input": NASTY[(at + 5) % len(NASTY)], "output": NASTY[(at + 9) % len(NASTY)] + f" {at}", "topic": NASTY[at % len(NASTY)]} for at in range(n)]  # fmt: skip
