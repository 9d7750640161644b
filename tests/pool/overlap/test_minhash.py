import numpy as np
import pytest

from diverseevol.pool.overlap.minhash import (
    N_HASHES,
    WIDTH,
    band_keys,
    least_jaccard,
    rows_per_band,
    shingles,
    shingles_by_part,
    signatures,
)


def shingle_set(text):
    text = text.ljust(WIDTH) if text else ""
    return {text[at : at + WIDTH] for at in range(len(text) - WIDTH + 1)}


def jaccard(one, other):
    one, other = shingle_set(one), shingle_set(other)
    return len(one & other) / len(one | other) if one | other else 1.0


def random_texts(n, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdé 你😀"), rng.integers(0, 60))) for _ in range(n)]


def test_equal_shingles_have_equal_hashes_and_others_do_not():
    texts = ["", "a", "abcd", "abcde", "", "abcdeabcde", "你好😀 x y", *random_texts(200)]
    hashes, bounds = shingles(texts)
    name = {}
    for number, text in enumerate(texts):
        own = hashes[bounds[number] : bounds[number + 1]]
        text = text.ljust(WIDTH) if text else ""
        assert len(own) == max(0, len(text) - WIDTH + 1)
        for at, value in enumerate(own.tolist()):
            assert name.setdefault(value, text[at : at + WIDTH]) == text[at : at + WIDTH]
    assert len(name) == len(set().union(*map(shingle_set, texts)))


def test_nothing_has_no_shingles():
    for texts in ([], [""], ["", "", ""]):
        hashes, bounds = shingles(texts)
        assert (len(hashes), bounds.tolist()) == (0, [0] * (len(texts) + 1))


def test_the_least_similar_part_decides():
    rng = np.random.default_rng(3)
    for _ in range(60):
        parts = [["".join(rng.choice(list("ab"), rng.integers(0, 12))) for _ in range(3)] for _ in range(2)]
        hashes, bounds = shingles_by_part(parts)
        one, other = (np.unique(hashes[bounds[at] : bounds[at + 1]]) for at in range(2))
        expected = min(jaccard(a, b) for a, b in zip(*parts, strict=True))
        assert least_jaccard(one, other) == pytest.approx(expected, abs=1e-12)


def test_the_same_text_in_another_part_is_another_text():
    hashes, bounds = shingles_by_part([("hello world", "", ""), ("", "hello world", "")])
    one, other = hashes[: bounds[1]], hashes[bounds[1] :]
    assert not set(one.tolist()) & set(other.tolist())
    assert least_jaccard(np.unique(one), np.unique(other)) == 0
    first, second = signatures(hashes, bounds)
    assert (first == second).mean() < 0.05  # else prompts meet answers, and every such pair is compared in vain


def test_signatures_agree_as_often_as_the_sets_are_similar():
    rng = np.random.default_rng(1)
    alphabet = list("abcdefghijklmnop ")
    errors = []
    for share in (0.02, 0.1, 0.3):
        for _ in range(20):
            one = rng.choice(alphabet, 400)
            other = np.where(rng.random(400) < share, rng.choice(alphabet, 400), one)
            one, other = "".join(one), "".join(other)
            first, second = signatures(*shingles([one, other]))
            errors.append((first == second).mean() - jaccard(one, other))
    # The standard error of one estimate is at most 0.5/sqrt(128) = 0.044.
    assert np.abs(errors).max() < 0.18
    assert abs(np.mean(errors)) < 0.02


def test_signatures_do_not_depend_on_the_batch():
    texts = random_texts(50, seed=2)
    together = signatures(*shingles(texts))
    alone = np.concatenate([signatures(*shingles([text])) for text in texts])
    np.testing.assert_array_equal(together, alone)
    big = ["ab c" * 20_000, *texts, "xyz" * 30_000, ""]
    np.testing.assert_array_equal(signatures(*shingles(big))[1:-2], together)


def test_a_band_key_is_that_of_its_functions():
    signed = np.random.default_rng(0).integers(1 << 32, size=(3, N_HASHES), dtype=np.uint32)
    signed[1] = signed[0]
    signed[1, 10] += 1
    for rows in (1, 4, 5, 7):
        keys = band_keys(signed, rows)
        assert keys.shape == (3, N_HASHES // rows)
        np.testing.assert_array_equal(np.flatnonzero(keys[0] != keys[1]), [10 // rows])
        assert not (keys[0] == keys[2]).any()


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
def test_bands_find_pairs_at_the_threshold_with_the_fewest_false_alarms(threshold):
    missed = [(1 - threshold**rows) ** (N_HASHES // rows) for rows in range(1, 33)]
    rows = rows_per_band(threshold)
    assert missed[rows - 1] <= 0.01
    assert all(share > 0.01 for share in missed[rows:])
