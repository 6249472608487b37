"""Sequences of several lengths: padding, packing, recurrent layers over them; and the softmax over many classes."""

import numpy as np
import pytest

import gradcu

RNG = np.random.default_rng(7)
X = RNG.standard_normal((5, 3, 4))  # (L, N, features)


def pack(lib, lengths, batch_first=False, enforce_sorted=False, grad=True):
    x = lib.tensor(X.transpose(1, 0, 2).copy() if batch_first else X, requires_grad=grad)
    return x, lib.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted)


def close(got, want):
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("lengths", [[5, 3, 2], [2, 5, 1], [4, 4, 4]], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_and_padding_are_pytorchs(original, lengths, batch_first):
    found = []
    for lib in (gradcu, original):
        rnn = lib.nn.utils.rnn
        x, packed = pack(lib, lib.tensor(lengths), batch_first)
        padded, counts = rnn.pad_packed_sequence(packed, batch_first, padding_value=-1.0, total_length=6)
        (padded * padded.detach().cos()).sum().backward()
        found.append([packed.data, packed.batch_sizes, packed.sorted_indices, padded, counts, x.grad])
        found[-1] += rnn.unpack_sequence(packed)
    for got, want in zip(*found, strict=True):
        close(got, want)


def test_lists_of_sequences(torch):
    rnn = torch.nn.utils.rnn
    several = [torch.tensor([1.0, 2.0]), torch.tensor([3.0]), torch.tensor([4.0, 5.0, 6.0])]
    assert rnn.pad_sequence(several, batch_first=True).tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]
    left = rnn.pad_sequence(several, padding_value=9.0, padding_side="left")
    assert left.tolist() == [[9, 9, 4], [1, 9, 5], [2, 3, 6]]
    packed = rnn.pack_sequence(several, enforce_sorted=False)
    assert packed.data.tolist() == [4, 1, 3, 5, 2, 6]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert [s.tolist() for s in rnn.unpack_sequence(packed)] == [s.tolist() for s in several]
    padded = rnn.pad_sequence(several, batch_first=True)
    assert [s.tolist() for s in rnn.unpad_sequence(padded, torch.tensor([2, 1, 3]), batch_first=True)] == [
        s.tolist() for s in several
    ]
    assert packed.double().data.dtype is torch.float64
    assert packed.to("cpu") is packed
    assert not packed.is_cuda


PACKED_WRONGLY = {
    "not sorted": lambda lib: pack(lib, [2, 3, 1], enforce_sorted=True),
    "empty sequence": lambda lib: pack(lib, [2, 1, 0]),
    "batch": lambda lib: pack(lib, [2, 1], enforce_sorted=True),
    "none": lambda lib: lib.nn.utils.rnn.pad_sequence([]),
    "too short": lambda lib: lib.nn.utils.rnn.pad_packed_sequence(pack(lib, [5, 3, 1])[1], total_length=4),
    "features": lambda lib: lib.nn.GRU(3, 2).double()(pack(lib, [5, 3, 1])[1]),
    "mode": lambda lib: lib.nn.RNNBase("MGU", 3, 2),
}


@pytest.mark.parametrize("mistake", PACKED_WRONGLY)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(PACKED_WRONGLY[mistake])


@pytest.mark.parametrize("lengths", [[5, 3, 2], [2, 5, 1]], ids=str)
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("RNN", {"num_layers": 2}),
        ("RNN", {"nonlinearity": "relu", "bidirectional": True}),
        ("GRU", {"num_layers": 2, "bidirectional": True, "bias": False}),
        ("LSTM", {"num_layers": 2, "bidirectional": True}),
        ("LSTM", {"proj_size": 2, "bidirectional": True}),
    ],
)
def test_recurrent_layers_over_packed_sequences_are_pytorchs(original, name, kwargs, lengths, start):
    theirs, found = getattr(original.nn, name)(4, 3, **kwargs).double(), []
    mine = getattr(gradcu.nn, name)(4, 3, **kwargs).double()
    mine.load_state_dict({k: gradcu.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    count = kwargs.get("num_layers", 1) * (1 + kwargs.get("bidirectional", False))
    h, c = RNG.standard_normal((count, 3, kwargs.get("proj_size", 3))), RNG.standard_normal((count, 3, 3))
    for lib, layer in ((gradcu, mine), (original, theirs)):
        x, packed = pack(lib, lengths)
        states = [lib.tensor(s, requires_grad=True) for s in ((h, c) if name == "LSTM" else (h,))] if start else []
        out, last = layer(packed, (tuple(states) if name == "LSTM" else states[0]) if start else None)
        results = [out.data, *(last if name == "LSTM" else (last,))]
        sum((r * r.detach().cos()).sum() for r in results).backward()
        assert isinstance(out, lib.nn.utils.rnn.PackedSequence)
        found.append([*results, x.grad, *(s.grad for s in states), *(p.grad for p in layer.parameters())])
    for got, want in zip(*found, strict=True):
        close(got, want)


# --- adaptive softmax ---


@pytest.mark.parametrize("target", [[0, 7, 3, 1, 9], [0, 1, 0, 1, 1], [9, 8, 7, 9, 7]], ids=str)
def test_adaptive_softmax_is_pytorchs(original, target):
    kwargs = {"cutoffs": [2, 7], "div_value": 2.0, "head_bias": True}
    theirs, found = original.nn.AdaptiveLogSoftmaxWithLoss(8, 10, **kwargs).double(), []
    mine = gradcu.nn.AdaptiveLogSoftmaxWithLoss(8, 10, **kwargs).double()
    assert repr(mine) == repr(theirs)
    mine.load_state_dict({k: gradcu.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    data = RNG.standard_normal((5, 8))
    for lib, layer in ((gradcu, mine), (original, theirs)):
        x = lib.tensor(data, requires_grad=True)
        output, loss = layer(x, lib.tensor(target))
        loss.backward()
        one = layer(x[0], lib.tensor(target[0]))
        grads = [p.grad for p in layer.parameters() if p.grad is not None]
        found.append([output, loss, one.output, one.loss, layer.log_prob(x), layer.predict(x), x.grad, *grads])
    for got, want in zip(*found, strict=True):
        close(got, want)


ADAPTIVE_WRONGLY = {
    "no cutoffs": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, []),
    "falling cutoffs": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 2]),
    "cutoff at the end": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [10]),
    "sizes": lambda lib: adaptive(lib)(lib.ones(2, 4), lib.tensor([1])),
    "dimensions": lambda lib: adaptive(lib)(lib.ones(1), lib.tensor([1])),
    "class": lambda lib: adaptive(lib)(lib.ones(1, 4), lib.tensor([10])),
}


def adaptive(lib):
    return lib.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [2])


@pytest.mark.parametrize("mistake", ADAPTIVE_WRONGLY)
def test_adaptive_softmax_refuses_in_pytorchs_words(refused_alike, mistake):
    refused_alike(ADAPTIVE_WRONGLY[mistake])


# --- wrappers ---


def test_wrappers_compute_what_is_in_them(torch):
    layer, x = torch.nn.Linear(2, 3), torch.ones(1, 2)
    wrapped = torch.nn.DataParallel(layer)
    assert wrapped(x).tolist() == layer(x).tolist()
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    net = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 1), torch.nn.BatchNorm1d(2))
    norm = net[1]
    converted = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert type(converted[1]) is torch.nn.SyncBatchNorm
    assert converted[1].weight is norm.weight
    assert converted[1].running_var is norm.running_var
