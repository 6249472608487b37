"""Random numbers by Philox: the same bits as its definition gives, and the moments of the distributions."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from tests.cuda import hostcupy
from tests.cuda.test_lines import raw


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def philox(seed, first, blocks):
    """Words (blocks, 4) of Philox 4x32-10, from its definition (Salmon et al. 2011), in Python's integers."""
    words = []
    for position in range(first, first + blocks):
        c = [position & 0xFFFFFFFF, position >> 32, 0, 0]
        k = [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        words.append(c)
    return np.array(words, dtype=np.uint64)


STREAMS = [(0, 0), (7, 3), ((1 << 64) - 1, (1 << 32) - 5), (0x123456789ABCDEF0, 1 << 40)]


@pytest.mark.parametrize(("seed", "position"), STREAMS, ids=str)
@pytest.mark.parametrize("order", [0, 1, 5])
def test_the_same_bits_on_every_machine(xp, seed, position, order):
    words = philox(seed, position, 12)
    pairs = words[:, ::2] << np.uint64(32) | words[:, 1::2]
    with hostcupy.schedule(order):
        u = xp.random_source(seed, [position]).random(45, "float32").get()
        v = xp.random_source(seed, [position]).random(23, "float64").get()
        i = xp.random_source(seed, [position]).integers(-100, 1000, 23).get()
    np.testing.assert_array_equal(u, ((words >> np.uint64(8)) * 2.0**-24).ravel()[:45].astype("f4"))
    np.testing.assert_array_equal(v, ((pairs >> np.uint64(11)) * 2.0**-53).ravel()[:23])
    assert i.tolist() == [-100 + (int(w) * 1100 >> 64) for w in pairs.ravel()[:23]]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dropout_keeps_where_a_uniform_number_is_less(xp, dtype):
    drawn, source = xp.random_source(3).random(1001, "float32").get(), xp.random_source(3)
    noise = xp.dropout_noise(source, (7, 143), np.dtype(raw(dtype)), 0.75, 4 / 3)
    assert noise.dtype == raw(dtype)
    np.testing.assert_array_equal(noise.get().ravel() != 0, drawn < np.float32(0.75))
    values = np.array([0, 4 / 3]).astype(raw(dtype))
    assert np.unique(noise.get()).tolist() == values.tolist()
    assert xp.random_state(source) == [251]


def test_dropout_of_tensors(xp):
    gradcu.manual_seed(1)
    state = gradcu.cuda.get_rng_state()
    x = gradcu.ones(1000, device="cuda", requires_grad=True)
    y = gradcu.nn.functional.dropout(x, 0.2)
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    assert set(y.tolist()) == {0.0, 1.25}
    assert 700 < int((y > 0).sum()) < 900
    gradcu.cuda.set_rng_state(state)
    assert gradcu.nn.functional.dropout(x, 0.2).tolist() == y.tolist()


def test_philox_gives_the_numbers_of_its_authors(xp):
    """The known answer of Random123 for Philox 4x32-10 with counter and key of zeros."""
    words = xp.random_source(0).integers(-(1 << 63), 1 << 63, (2,)).get()
    assert [hex(int(w) + (1 << 63)) for w in words] == ["0x6627e8d5e169c58d", "0xbc57ac4c9b00dbd8"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_random_numbers(xp, dtype):
    source, n = xp.random_source(7), 40001
    u, z, e = (getattr(source, f)(n, dtype).get() for f in ("random", "standard_normal", "standard_exponential"))
    assert u.dtype == z.dtype == e.dtype == dtype
    assert 0 <= u.min() < u.max() < 1
    assert e.min() >= 0
    deviation = 5 / np.sqrt(n)  # five standard errors; the seed is fixed, so the outcome is too
    np.testing.assert_allclose([u.mean(), 12 * u.var()], [0.5, 1], atol=deviation)
    np.testing.assert_allclose([z.mean(), z.var(), (z**4).mean()], [0, 1, 3], atol=10 * deviation)
    np.testing.assert_allclose([e.mean(), e.var()], [1, 1], atol=3 * deviation)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < deviation


def test_random_integers_and_permutations(xp):
    source = xp.random_source(7)
    assert np.bincount(source.integers(2, 7, 1000, dtype="int32").get()).tolist()[:2] == [0, 0]
    assert set(source.integers(-2, 2, 100, endpoint=True).tolist()) == {-2, -1, 0, 1, 2}
    assert sorted(source.permutation(20).tolist()) == list(range(20))


def test_one_stream_however_it_is_cut(xp):
    whole, parts = xp.random_source(1).random(12, "float32"), xp.random_source(1)
    assert whole.tolist() == parts.random(8, "float32").tolist() + parts.random(4, "float32").tolist()
