"""A first upper bound on each row's distance to its nearest centre, without the whole product.

Any centre bounds the distance to the nearest one from above; the art is to guess a near one cheaply. A few
centres that lie far apart (landmarks) span a space of few dimensions in which everything is compared. There a
row's guess is the centre that looks nearest, exact for landmarks and rough for the others; or, where a trial
shows that it is better, the nearest centre of the row's nearest scout, scouts being some rows that were
compared with all centres, which finds the way where rows lie in clusters. The distance to the guessed centre
is then computed directly, so a bad guess costs work later on, and never a wrong pick. A GPU multiplies so
fast that it takes the product of all rows with all centres after all.

The bound is rigorous: differences of float32 numbers and a sum of squares have a relative error of at most (D
+ 4) u (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and rows that float32 does
not hold exactly add u (|x| + |c|).
Cost: products of (N, D, P) and of (N, P, C) or (N, P, S), of (S, D, C), on a GPU one of (N, D, C), and one
gathered centre a row.
Shape letters: N rows, C centres, P landmarks, S scouts, D embedding width, B rows of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..base.progress import SILENT, Watch
from .reader import BLOCK_NUMBERS, RowReader, blocks

GPU_BLOCK_NUMBERS = 2**26  # a GPU wants larger blocks: 256 MB
N_LANDMARKS = 32
TILE_NUMBERS = (
    2**18
)  # numbers whose differences are taken at once: 1 MB of float32, which stays in a core's cache
N_SCOUTS = 1024
N_PROBED = 256  # rows on which a guess is compared with the truth
SMALL_GAP = 0.005  # of the squared distances: below it the first guess is good enough
N_SPREAD = 2048  # centres among which landmarks are looked for
CENTRE_NUMBERS = 2**26  # numbers of centres that may be guessed: 256 MB of float32
UNIT = 2.0**-24  # unit roundoff of float32
TINY = 2.0**-120  # what a square may lose to underflow, with margin


@dataclass(frozen=True, slots=True)
class Space:
    """Centres, and the few dimensions in which a row's nearest one is guessed."""

    centres_CD: Tensor
    shifted_CD: Tensor
    """The centres minus their middle."""
    norms_C: Tensor
    """Their squared lengths."""
    middle_D: Tensor
    basis_DP: Tensor
    """Orthonormal, spanning the landmarks minus the middle."""
    targets_PC: Tensor
    """-2 times the shifted centres, seen in the space."""
    is_exact: bool
    """Whether float32 holds rows and centres exactly."""

    @classmethod
    def of(cls, reader: RowReader, centre_rows: np.ndarray, device: torch.device) -> Space:
        """The space of these centres; beyond `CENTRE_NUMBERS` only an even part of them is guessed."""
        centres_CD = reader.float32(_even_part(centre_rows, CENTRE_NUMBERS // reader.width), device)
        middle_D = torch.nan_to_num(centres_CD.mean(dim=0), 0.0, 0.0, 0.0)
        shifted_CD = centres_CD - middle_D
        step = max(1, len(shifted_CD) // N_SPREAD)
        basis_DP = torch.linalg.qr(shifted_CD[spread_rows(shifted_CD[::step], N_LANDMARKS) * step].T)[0]
        norms_C, targets_PC = shifted_CD.square().sum(dim=1), -2 * (shifted_CD @ basis_DP).T
        return cls(
            centres_CD, shifted_CD, norms_C, middle_D, basis_DP, targets_PC, reader.is_exact_in_float32
        )

    def seen(self, rows_BD: Tensor) -> Tensor:
        """Rows minus the middle, in the few dimensions."""
        return torch.addmm(-(self.middle_D @ self.basis_DP), rows_BD, self.basis_DP)

    def looks_nearest(self, rows_BD: Tensor) -> Tensor:
        """The number of the centre that looks nearest to each row."""
        return torch.addmm(self.norms_C, self.seen(rows_BD), self.targets_PC).argmin(dim=1)

    def nearest(self, rows_BD: Tensor) -> Tensor:
        """The number of the centre nearest to each row, up to float32's rounding."""
        return torch.addmm(self.norms_C, rows_BD - self.middle_D, self.shifted_CD.T, alpha=-2).argmin(dim=1)

    def distances(self, rows_BD: Tensor, centres_B: Tensor) -> Tensor:
        """Upper bounds on the distances between each row and its one centre, float64[B]."""
        n_at_once = len(rows_BD) if rows_BD.is_cuda else max(1, TILE_NUMBERS // rows_BD.shape[1])
        return torch.cat(
            [self._distances(rows_BD[tile], centres_B[tile]) for tile in blocks(len(rows_BD), n_at_once)]
        )

    def _distances(self, rows_BD: Tensor, centres_B: Tensor) -> Tensor:
        guessed_BD = self.centres_CD[centres_B]
        rounding_B = torch.zeros((), dtype=torch.float64, device=rows_BD.device)
        if not self.is_exact:
            lengths = [torch.linalg.vector_norm(vectors, dim=1).double() for vectors in (rows_BD, guessed_BD)]
            rounding_B = 2 * UNIT * (lengths[0] + lengths[1])
        distance_B: Tensor = torch.linalg.vector_norm(guessed_BD.sub_(rows_BD), dim=1).double()
        return distance_B * (1 + (rows_BD.shape[1] + 8) * UNIT) + rounding_B


Guess = Callable[[Tensor], Tensor]


def scouting_guess(reader: RowReader, rows: np.ndarray, space: Space, device: torch.device) -> Guess | None:
    """Guess by scouts that lie far from each other.

    None where it would not pay: tried on a few rows whose truth is found out.
    """
    if len(space.centres_CD) <= N_LANDMARKS or len(rows) < 4 * N_SCOUTS:
        return None
    probe_BD = reader.float32(_even_part(rows[1::2], N_PROBED), device)

    def gap(guess_B: Tensor) -> Tensor:
        return (space.distances(probe_BD, guess_B).square() - truth_B).sum()

    truth_B = space.distances(probe_BD, space.nearest(probe_BD)).square()
    first_gap = gap(space.looks_nearest(probe_BD))
    if first_gap < SMALL_GAP * truth_B.sum():
        return None
    some_rows = _even_part(rows[::2], 4 * N_SCOUTS)
    step = max(1, BLOCK_NUMBERS // (4 * reader.width))
    parts = [space.seen(reader.float32(some_rows[part], device)) for part in blocks(len(some_rows), step)]
    seen_SP = torch.cat(parts)
    found = spread_rows(seen_SP, N_SCOUTS)
    scout_rows, seen_SP = some_rows[found.cpu().numpy()], seen_SP[found]
    parts = [
        space.nearest(reader.float32(scout_rows[part], device)) for part in blocks(len(scout_rows), step)
    ]
    nearest_S, norms_S, targets_PS = torch.cat(parts), seen_SP.square().sum(dim=1), -2 * seen_SP.T

    def guess(rows_BD: Tensor) -> Tensor:
        return nearest_S[torch.addmm(norms_S, space.seen(rows_BD), targets_PS).argmin(dim=1)]

    return guess if gap(guess(probe_BD)) < first_gap / 2 else None


def first_bounds(
    reader: RowReader,
    rows: np.ndarray,
    centre_rows: np.ndarray,
    device: torch.device,
    block_rows: int | None = None,
    watch: Watch = SILENT,
) -> np.ndarray:
    """Bound each row's squared distance to its nearest centre from above, float64[M].

    +inf where float32 overflows.

    Args:
        reader: where rows and centres are read.
        rows: (M,) the rows to bound, ascending.
        centre_rows: (C,) the centres, at least one.
        device: where the products are computed.
        block_rows: rows a block; None: as many as fit into `BLOCK_NUMBERS`. The picks do not depend on it.
    """
    space = Space.of(reader, centre_rows, device)
    guess: Guess = space.nearest
    if device.type != "cuda":
        guess = scouting_guess(reader, rows, space, device) or space.looks_nearest

    def bounds_of(rows_BD: Tensor) -> np.ndarray:
        guess_B = guess(rows_BD)
        distance_B = space.distances(rows_BD, guess_B)
        bound_B = distance_B.square() * (1 + 2.0**-50) + reader.width * TINY
        return torch.where(bound_B.isfinite(), bound_B, torch.inf).cpu().numpy()

    n_numbers = GPU_BLOCK_NUMBERS if device.type == "cuda" else BLOCK_NUMBERS
    n_at_once = block_rows or n_numbers // (reader.width + len(space.centres_CD) + N_SCOUTS)
    bounds_M = np.empty(len(rows))
    with watch.task("distances to the chosen", len(rows), "rows") as task:
        for block in blocks(len(rows), n_at_once):
            part = rows[block]
            first, stop = int(part[0]), int(part[-1]) + 1
            if stop - first <= 2 * len(
                part
            ):  # reading the few rows in between, too, is faster than gathering the others
                bounds_M[block] = bounds_of(reader.float32_between(first, stop, device))[part - first]
            else:
                bounds_M[block] = bounds_of(reader.float32(part, device))
            task.advance(len(part))
    return bounds_M


def _even_part(rows: np.ndarray, n_most: int) -> np.ndarray:
    """At most `n_most` of the rows, evenly spaced."""
    return rows if len(rows) <= n_most else rows[np.linspace(0, len(rows) - 1, n_most).astype(np.int64)]


def spread_rows(points_MD: Tensor, n_most: int) -> Tensor:
    """The numbers of at most `n_most` points that lie far from each other.

    Farthest-first traversal in float32, from the longest.
    """
    points_MD = torch.nan_to_num(points_MD, 0.0, 0.0, 0.0)
    norms_M = points_MD.square().sum(dim=1)
    nearest_M = torch.full_like(norms_M, torch.inf)
    found = [norms_M.argmax()]
    for _ in range(min(n_most, len(points_MD)) - 1):
        to_last_M = torch.addmv(norms_M, points_MD, points_MD[found[-1]], alpha=-2) + norms_M[found[-1]]
        nearest_M = torch.minimum(nearest_M, to_last_M)
        found.append(nearest_M.argmax())
    return torch.stack(found)
