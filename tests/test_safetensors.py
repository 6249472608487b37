"""What `save_file` writes, `load_file` reads: nested containers of tensors, for any reader of safetensors."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import gradcu
from gradcu import nn
from gradcu.serialization import load_file, save_file

numpy_reader = pytest.importorskip("safetensors.numpy")


def there_and_back(obj, **settings):
    file = io.BytesIO()
    save_file(obj, file)
    file.seek(0)
    return load_file(file, **settings)


def test_nested_containers_come_back_as_they_were():
    saved = {
        "model": OrderedDict(weight=gradcu.ones(2, 3), bias=gradcu.zeros(3)),
        "epoch": 3,
        "losses": [0.5, float("inf"), 1e-300],
        7: ("x", None, True, 1 + 2j, gradcu.float16, gradcu.device("cpu"), gradcu.Size([2])),
        (1, "a"): {"empty": {}, "list": []},
    }
    loaded = there_and_back(saved)
    assert isinstance(loaded["model"], OrderedDict)
    assert list(loaded) == list(saved)
    assert loaded["model"]["weight"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert loaded["losses"] == saved["losses"]
    assert loaded[7] == saved[7]
    assert isinstance(loaded[7][-1], gradcu.Size)
    assert loaded[1, "a"] == saved[1, "a"]


@pytest.mark.parametrize(
    "name",
    "float16 bfloat16 float32 float64 uint8 int8 int16 int32 int64 bool complex64 complex128".split(),
)
def test_every_dtype_comes_back(name):
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    t = gradcu.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(gradcu, name))
    for part in (t, t.t(), t[0, 1], t[:, :0]):
        loaded = there_and_back(part)
        assert loaded.dtype is t.dtype
        assert loaded.shape == part.shape
        assert loaded.tolist() == part.tolist()


def test_parameters_and_requires_grad_come_back():
    loaded = there_and_back([nn.Parameter(gradcu.ones(2)), gradcu.ones(2, requires_grad=True), gradcu.ones(2)])
    assert [type(t) for t in loaded] == [nn.Parameter, gradcu.Tensor, gradcu.Tensor]
    assert [t.requires_grad for t in loaded] == [True, True, False]


def test_one_tensor_in_two_places_stays_one():
    t = gradcu.ones(3)
    a, b = there_and_back([t, {"again": t}])
    assert a is b["again"]
    a[0] = 5
    assert b["again"].tolist() == [5, 1, 1]


def test_training_goes_on_from_a_file(tmp_path):
    model = nn.Linear(2, 2)
    optimizer = gradcu.optim.Adam(model.parameters())
    model(gradcu.ones(1, 2)).sum().backward()
    optimizer.step()
    save_file({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint")
    checkpoint = load_file(tmp_path / "checkpoint")
    assert nn.Linear(2, 2).load_state_dict(checkpoint["model"]) == ([], [])
    other = gradcu.optim.Adam(nn.Linear(2, 2).parameters())
    other.load_state_dict(checkpoint["optimizer"])
    assert [s["exp_avg"].tolist() for s in other.state.values()] == [
        s["exp_avg"].tolist() for s in optimizer.state.values()
    ]


def test_other_programs_read_the_tensors_by_name(tmp_path):
    save_file({"model": {"weight": gradcu.ones(2)}, "steps": [gradcu.tensor(3)]}, tmp_path / "file")
    found = numpy_reader.load_file(tmp_path / "file")
    assert found["model.weight"].tolist() == [1, 1]
    assert found["steps.0"] == 3


def test_names_that_would_collide_are_kept_apart():
    loaded = there_and_back({"a.b": gradcu.zeros(1), "a": {"b": gradcu.ones(1)}})
    assert (loaded["a.b"].item(), loaded["a"]["b"].item()) == (0, 1)


def test_files_of_other_programs_are_dicts_of_tensors(tmp_path):
    numpy_reader.save_file({"x": np.arange(3), "y": np.ones((2, 2), "f2")}, tmp_path / "file")
    loaded = load_file(tmp_path / "file")
    assert loaded["x"].tolist() == [0, 1, 2]
    assert loaded["y"].dtype is gradcu.float16


def test_load_reads_safetensors_files_too(tmp_path):
    save_file({"x": gradcu.ones(2)}, tmp_path / "file")
    assert gradcu.load(tmp_path / "file")["x"].tolist() == [1, 1]


def test_metadata_is_there_for_other_readers(tmp_path):
    import safetensors

    save_file({"x": gradcu.ones(2)}, tmp_path / "file", metadata={"format": "pt"})
    with safetensors.safe_open(tmp_path / "file", "np") as file:
        assert file.metadata()["format"] == "pt"


def test_map_location_takes_a_device_a_dict_or_a_function():
    t = gradcu.ones(2)
    assert there_and_back(t, device="cpu").device.type == "cpu"
    assert there_and_back(t, device={"cuda:0": "cpu"}).device.type == "cpu"
    assert there_and_back(t, device=lambda tensor, device: tensor * 2).tolist() == [2, 2]


@pytest.mark.parametrize("thing", [object(), nn.Linear(1, 1), lambda: 0, b"bytes"])
def test_what_cannot_be_saved_is_named_with_its_place(thing):
    with pytest.raises(TypeError, match=r"at 'outer\.1'"):
        save_file({"outer": [1, thing]}, io.BytesIO())


def test_a_failed_save_leaves_the_old_file_alone(tmp_path):
    save_file({"epoch": 1}, tmp_path / "file")
    with pytest.raises(TypeError):
        save_file({"epoch": object()}, tmp_path / "file")
    assert load_file(tmp_path / "file") == {"epoch": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a tensor in sight", "no safetensors file"),
        (b"", "no safetensors file"),
        (pickle.dumps([1]), "no safetensors file"),
    ],
)
def test_other_files_are_refused(content, words):
    with pytest.raises(RuntimeError, match=words):
        load_file(io.BytesIO(content))


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "none")
