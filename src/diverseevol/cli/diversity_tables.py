"""The tables of `diversity`: a line a round, each measure with the band of the random sets beside it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from .tables import new_table, open_console

VENDI = {"vendi_0.5": "q = 0.5", "vendi_1": "q = 1", "vendi_2": "q = 2", "vendi_inf": "q = ∞"}
DISTANCES = {
    "covering_radius": "covering radius",
    "mean_nearest_to_subset": "pool → subset",
    "mean_nearest_within": "within",
}
COVERAGE = {"cells_hit": "share hit", "cell_entropy": "entropy, bits"}
TITLES = (
    ("Vendi score of order q: an effective number of different directions (rows of unit length)", VENDI),
    (
        "Euclidean distances between the vectors as they are: of the worst-covered pool row from its "
        "nearest chosen row; the mean of "
        "that over all pool rows; the mean over the chosen rows to the nearest other one",
        DISTANCES,
    ),
    ("Coverage", COVERAGE),
)
HOW_TO_READ = (
    "Below a value: where nine of ten of {n} random sets of that size lie (5 % to 95 % quantile); + above "
    "it, - below. More diverse: a "
    "larger Vendi score, distance within, share, entropy; a smaller radius and distance to the subset. "
    "Whether a model tuned on it is "
    "better is another question."
)


def print_tables(found: dict[str, Any]) -> None:
    """Print what `measured` found."""
    console = open_console()
    console.print(
        f"{found['n_rows']:,} × {found['width']:,} of {found['embeddings']}", highlight=False, markup=False
    )
    for title, names in TITLES:
        if names is COVERAGE:
            missing = f"; {found['n_without_label']:,} rows have none" if found["n_without_label"] else ""
            title = f"Coverage of {found['n_cells']:,} {found['coverage_of']}{missing}"
        console.print(f"\n{title}", highlight=False, markup=False)
        console.print(_table(found, names), highlight=False)
    if found["sets"] and found["random_sets"]:
        console.print(HOW_TO_READ.format(n=found["random_sets"]), style="dim", highlight=False)


def _table(found: dict[str, Any], names: dict[str, str]) -> Table:
    if not found["sets"]:  # the pool alone: no distances to a subset
        names = {name: heading for name, heading in names.items() if name in found["pool"]}
    table = new_table(("", "rows", *names.values()), texts=("",))
    for measured in found["sets"]:
        label = f"round {measured['round']}" if "round" in measured else "chosen"
        measures = [measured["measures"][name] for name in names]
        table.add_row(
            label,
            f"{measured['n_chosen']:,}",
            *(_number(measure["value"]) + _sign(measure) for measure in measures),
        )
        if found["random_sets"]:
            table.add_row("", "", *map(_band, measures), style="dim")
    table.add_row("all", f"{found['n_rows']:,}", *(_number(found["pool"].get(name)) + " " for name in names))
    return table


def _sign(measure: dict[str, float | None]) -> str:
    """Whether the value is above or below the random sets' band."""
    value, low, high = measure["value"], measure.get("random_low"), measure.get("random_high")
    if value is None or low is None or high is None:
        return " "
    return "+" if value > high else "-" if value < low else " "


def _band(measure: dict[str, float | None]) -> str:
    return f"{_number(measure['random_low'], 3)}–{_number(measure['random_high'], 3)} "


def _number(value: float | None, n_digits: int = 4) -> str:
    """So many digits, without an exponent where that is readable."""
    if value is None:
        return "·"
    return f"{value:,.0f}" if 10 ** (n_digits - 1) <= abs(value) < 1e9 else f"{value:.{n_digits}g}"
