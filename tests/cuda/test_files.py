"""Checkpoints of tensors on a device, and batches for one."""

import io

import pytest

import gradcu
from gradcu import backends
from gradcu.utils.data import DataLoader, TensorDataset


@pytest.fixture(autouse=True)
def _cuda(cupy):
    backends.cuda()


def saved(obj, **settings):
    file = io.BytesIO()
    gradcu.save(obj, file, **settings)
    file.seek(0)
    return file


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_tensors_come_back_to_their_device(new):
    base = gradcu.arange(6.0, device="cuda")
    file = saved([base, base[2:4], gradcu.ones(2)], _use_new_zipfile_serialization=new)
    x, view, host = gradcu.load(file)
    assert (x.device.type, view.device.type, host.device.type) == ("cuda", "cuda", "cpu")
    x[2] = 50
    assert view.tolist() == [50, 3]


LOCATIONS = {
    "device": gradcu.device("cpu"),
    "dict": {"cuda:0": "cpu"},
    "function": lambda storage, location: storage,
}


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("form", LOCATIONS)
def test_to_the_host(form, new):
    file = saved(gradcu.arange(3.0, device="cuda"), _use_new_zipfile_serialization=new)
    x = gradcu.load(file, map_location=LOCATIONS[form])
    assert x.device.type == "cpu"
    assert x.tolist() == [0, 1, 2]


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("location", ["cuda", "cuda:0", lambda storage, location: storage.cuda(0)])
def test_to_a_device(location, new):
    x = gradcu.load(saved(gradcu.arange(3.0), _use_new_zipfile_serialization=new), map_location=location)
    assert x.device == gradcu.device("cuda:0")
    assert x.tolist() == [0, 1, 2]


def test_a_device_with_a_number_that_is_none():
    with pytest.raises(RuntimeError, match=r"CUDA device 7 but gradcu.cuda.device_count\(\) is 1"):
        gradcu.load(saved(gradcu.ones(1)), map_location="cuda:7")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_pinned(workers):
    loader = DataLoader(TensorDataset(gradcu.arange(4)), 2, num_workers=workers, pin_memory=True)
    batches = [x for (x,) in loader]
    assert [b.tolist() for b in batches] == [[0, 1], [2, 3]]
    assert all(b.is_pinned() for b in batches)
