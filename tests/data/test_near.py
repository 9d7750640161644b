import numpy as np
import pytest

from diverseevol.data import duplicates as near_module
from diverseevol.data.duplicates import N_HASHES, Duplicate, band_keys, least_jaccard, near_duplicates, rows_per_band
from diverseevol.data.normal import shingles


def sets_of(texts):
    return [(shingles(text),) for text in texts]


def keys_of(texts, threshold):
    return band_keys(sets_of(texts), len(texts), threshold)


def brute_force(texts, threshold):
    """The definition: each text against every earlier one that stays."""
    sets, kept, found = sets_of(texts), [], []
    for text, own in enumerate(sets):
        alike = [(least_jaccard(own, sets[other]), -other) for other in kept] if any(own) else []
        best = max(alike, default=(-1, 0))
        if best[0] >= threshold:
            found.append(Duplicate(text, -best[1], "near", best[0]))
        else:
            kept.append(text)
    return found


def families(seed, n=90):
    """Random texts, with chains of more and more changed copies among them in random order."""
    rng = np.random.default_rng(seed)
    texts = []
    while len(texts) < n:
        text = rng.choice(list("abcdefghij "), rng.integers(3, 200))
        texts.append("".join(text))
        for _ in range(rng.integers(0, 5)):
            text = np.where(rng.random(len(text)) < rng.choice([0, 0.01, 0.05]), "z", text)
            texts.append("".join(text))
    return [texts[at] for at in rng.permutation(len(texts))] + ["", ""]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_as_brute_force(threshold):
    n_expected = n_same = 0
    for seed in range(4):
        texts = families(seed)
        sets, expected = sets_of(texts), brute_force(texts, threshold)
        found = near_duplicates(keys_of(texts, threshold), sets.__getitem__, threshold)
        n_expected, n_same = n_expected + len(expected), n_same + len(set(found) & set(expected))
        dropped = {one.position for one in found}
        for one in found:
            assert one.similarity == least_jaccard(sets[one.position], sets[one.kept]) >= threshold
            assert one.kept < one.position
            assert one.kept not in dropped
    assert n_expected > 60
    assert n_same >= 0.98 * n_expected


def test_shingles_are_runs_of_characters():
    assert shingles("abcdefg") == {"abcde", "bcdef", "cdefg"}
    assert shingles("ab") == {"ab   "}
    assert shingles("") == set()


def test_the_similarity_is_that_of_the_part_that_differs_most():
    one, same, half = shingles("abcdef"), shingles("abcdef"), shingles("abcdeX")
    assert least_jaccard((one, set()), (same, set())) == 1
    assert least_jaccard((one, one), (same, half)) == 1 / 3
    assert least_jaccard((one, set()), (same, half)) == 0


def test_a_shingle_counts_for_its_part_alone():
    one, other = shingles("a text of some length"), shingles("quite another one, as long")
    keys = band_keys([(one, other), (other, one), (one, other)], 3, 0.5)
    assert not (keys[0] == keys[1]).any()
    assert (keys[0] == keys[2]).all()


def test_texts_share_bands_as_often_as_their_similarity_says():
    rng = np.random.default_rng(0)
    alphabet, n_same, expected = list("abcdefghijklmnopqrstuvwxyz"), [], []
    for share in (0.02, 0.05):
        for _ in range(30):
            one = rng.choice(alphabet, 300)
            pair = [(shingles("".join(text)),) for text in (one, np.where(rng.random(300) < share, "ä", one))]
            keys = band_keys(pair, 2, 0.6)
            n_same.append((keys[0] == keys[1]).mean())
            expected.append(least_jaccard(*pair) ** rows_per_band(0.6))
    assert abs(np.mean(n_same) - np.mean(expected)) < 0.03


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_bands_find_pairs_at_the_threshold_with_the_fewest_false_alarms(threshold):
    missed = [(1 - threshold**rows) ** (N_HASHES // rows) for rows in range(1, 33)]
    rows = rows_per_band(threshold)
    assert missed[rows - 1] <= 0.01
    assert all(share > 0.01 for share in missed[rows:])
    assert band_keys([({"abcde"},)], 1, threshold).shape == (1, N_HASHES // rows)


def test_chance_meetings_are_no_duplicates():
    texts = ["the cat sat on the mat", "a wholly different text altogether", "", ""]
    keys = np.zeros((4, 8), dtype=np.uint32)  # everything meets everything
    assert near_duplicates(keys, sets_of(texts).__getitem__, 0.5) == []


def test_no_chain_ties_unlike_texts_together():
    words = [f"word{number:02d}" for number in range(20)]
    chain = [" ".join(words[:at] + [f"new{n:03d}" for n in range(at)] + words[at:]) for at in (0, 2, 4)]
    sets = sets_of(chain)
    step, far = least_jaccard(sets[0], sets[1]), least_jaccard(sets[0], sets[2])
    threshold = (max(step, far) + far) / 2
    assert least_jaccard(sets[1], sets[2]) > threshold
    assert near_duplicates(keys_of(chain, 0.5), sets.__getitem__, threshold) == [Duplicate(1, 0, "near", step)]


def test_equally_similar_the_first_and_else_the_most_similar():
    base = "abcdefghijklmnopqrstuvwxyz0123456789"
    texts = [base + "AAAAAAAA", base + "BBBBBBBB", base + "CCCCCCCC"]
    sets = sets_of([*texts, base])
    keys = np.zeros((4, 8), dtype=np.uint32)
    (found,) = near_duplicates(keys, sets.__getitem__, 0.8)
    assert (found.position, found.kept) == (3, 0)
    (found,) = near_duplicates(keys, sets_of([*texts, base + "CCCCCCCD"]).__getitem__, 0.8)
    assert (found.position, found.kept) == (3, 2)


def test_a_pool_of_one_template_stays_linear(monkeypatch):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghij"), 30)) for _ in range(400)]
    sets, n_compared = sets_of(texts), 0

    def counted(one, other):
        nonlocal n_compared
        n_compared += 1
        return least_jaccard(one, other)

    monkeypatch.setattr(near_module, "least_jaccard", counted)
    keys = np.zeros((400, 8), dtype=np.uint32)
    assert near_duplicates(keys, sets.__getitem__, 0.9) == []
    assert n_compared <= 400 * near_module.MAX_MET
