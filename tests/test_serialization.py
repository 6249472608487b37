"""`save` and `load`: files that PyTorch and gradcu read alike, and that cannot harm who reads them."""

import io
import os
import pathlib
import pickle
import random
import sys
import zipfile
from collections import Counter, OrderedDict
from functools import partial

import numpy as np
import pytest

import gradcu
from gradcu import nn, serialization

DTYPES = (
    "float16 bfloat16 float32 float64 uint8 uint16 uint32 uint64 int8 int16 int32 int64 bool complex64 complex128 "
    "float8_e4m3fn float8_e5m2"
).split()


def saved(lib, obj, **settings):
    file = io.BytesIO()
    lib.save(obj, file, **settings)
    file.seek(0)
    return file


def there_and_back(obj, **settings):
    return gradcu.load(saved(gradcu, obj), **settings)


@pytest.fixture(params=["gradcu to gradcu", "gradcu to torch", "torch to gradcu", "torch to torch"])
def libraries(request):
    """The library that saves, and the one that loads."""
    return [pytest.importorskip(name) for name in request.param.split(" to ")]


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def carried(request, libraries):
    """Carries an object from one library to the other, through either format."""
    writer, reader = libraries

    def carry(make, legacy=True):
        new = request.param or not legacy
        return reader.load(saved(writer, make(writer), _use_new_zipfile_serialization=new), weights_only=True)

    return carry


# --- what comes back, from either library's files in either library ---


def test_plain_data_comes_back(carried):
    plain = {
        "none": None, "numbers": [True, -1, 255, 1 << 16, 1 << 40, -(1 << 70), 0.1, float("inf"), 2 + 3j],
        "text": "ein Wort, Ελληνικά \ud800", "bytes": b"\x00\xff", "array": bytearray(b"ab"), "set": {1, (2, "x")},
        "ordered": OrderedDict(b=1, a=2), "count": Counter("abca"), 7: (), (1, "a"): {"empty": {}, "list": [[]]},
        "four": (1, 2, 3, 4),
    }  # fmt: skip
    loaded = carried(lambda lib: plain)
    assert loaded == plain
    assert [type(v) for v in loaded.values()] == [type(v) for v in plain.values()]


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_comes_back(carried, libraries, name):
    if not all(hasattr(lib, name) for lib in libraries):
        pytest.skip(f"no {name}")
    if name.startswith(("bfloat", "float8")):
        pytest.importorskip("ml_dtypes")
    if "torch" in {lib.__name__ for lib in libraries} and name.startswith(("uint", "float8")) and name != "uint8":
        carried = partial(carried, legacy=False)  # PyTorch has these in the new format alone
    t = carried(lambda lib: lib.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(lib, name)))
    assert str(t.dtype).rpartition(".")[2] == name
    assert t.shape == (2, 3)
    assert t.to(libraries[1].float64 if "complex" not in name else t.dtype).tolist() == [[0, 1, 1], [1, 0, 1]]


SHAPES = {
    "transposed": lambda t: t.t(),
    "strided": lambda t: t[1:, ::2],
    "scalar": lambda t: t[1, 1],
    "expanded": lambda t: t[0].expand(4, 3),
    "empty": lambda t: t[:, :0],
    "contiguous": lambda t: t,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_comes_back(carried, shape):
    def make(lib):
        return SHAPES[shape](lib.arange(6.0).reshape(2, 3))

    loaded, expected = carried(make), make(gradcu)
    assert loaded.tolist() == expected.tolist()
    if loaded.numel():
        assert tuple(loaded.stride()) == expected.stride()


def test_shared_memory_stays_shared(carried):
    def make(lib):
        base = lib.arange(6.0)
        return {"view": base[2:4], "base": base, "again": base, "flipped": base.reshape(2, 3).t(), "other": lib.ones(1)}

    loaded = carried(make)
    loaded["base"][2] = 50
    assert loaded["view"].tolist() == [50, 3]
    assert loaded["flipped"][2, 0] == 50
    assert loaded["again"] is loaded["base"]


def test_kinds_of_tensors_come_back(carried, libraries):
    def make(lib):
        named = lib.ones(1)
        named.note = "kept"
        parameter = lib.nn.Parameter(lib.ones(2))
        parameter.note = ["kept"]
        return [lib.nn.Parameter(lib.ones(2), False), lib.ones(2, requires_grad=True), named, parameter]

    frozen, leaf, named, parameter = carried(make)
    kind = libraries[1].nn.Parameter
    assert [type(t) is kind for t in (frozen, leaf, named, parameter)] == [True, False, False, True]
    assert [t.requires_grad for t in (frozen, leaf, named, parameter)] == [False, True, False, True]
    assert (named.note, parameter.note) == ("kept", ["kept"])


def test_names_of_sizes_dtypes_devices_and_layouts_come_back(carried, libraries):
    def make(lib):
        return [lib.Size([2, 3]), lib.float16, lib.bool, lib.device("cpu"), lib.device("cuda", 1), lib.strided]

    assert carried(make) == make(libraries[1])


def test_lazy_conjugates_come_back(carried):
    x, y = carried(lambda lib: [lib.tensor([1 + 2j]).conj(), lib.tensor([1 + 2j]).conj().imag], legacy=False)
    assert x.resolve_conj().tolist() == [1 - 2j]
    assert y.resolve_neg().tolist() == [-2]


SPARSE = {
    "as given": lambda a: a,
    "coalesced": lambda a: a.coalesce(),
    "hybrid": lambda a: a.to_dense().to_sparse(1),
    "CSR": lambda a: a.coalesce().to_sparse_csr(),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_tensors_come_back(carried, kind):
    def make(lib):
        places = lib.tensor([[0, 1, 0], [2, 0, 2]])
        return SPARSE[kind](lib.sparse_coo_tensor(places, lib.tensor([3.0, 4.0, 5.0]), (2, 3)))

    x = carried(make, legacy=False)
    assert x.to_dense().tolist() == [[0, 0, 8], [4, 0, 0]]
    assert str(x.layout).endswith("csr" if kind == "CSR" else "coo")
    assert kind == "CSR" or x.is_coalesced() is (kind != "as given")


def test_sparse_tensors_that_contradict_themselves_are_refused():
    values, places = gradcu.ones(2), gradcu.tensor([[0, 5], [1, 1]])
    for size, coalesced, message in [
        ((6, 1), False, "size is inconsistent with indices"),
        ((-6, 2), False, "cannot be"),
        ((2,), False, "number of dimensions"),
        ((6, 2), True, "said to be coalesced"),
    ]:
        claimed = gradcu.sparse.SparseTensor(places.flip(1), values, (6, 2), coalesced)
        claimed._size = size
        with pytest.raises(RuntimeError, match=message):
            gradcu.load(saved(gradcu, claimed))
    with pytest.raises(RuntimeError, match=r"before PyTorch 1\.6"):
        gradcu.load(saved(gradcu, gradcu.eye(2).to_sparse(), _use_new_zipfile_serialization=False))


def test_lazy_conjugates_in_the_old_format_are_refused(original):
    file = saved(original, original.tensor([1 + 2j]).conj(), _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match=r"save x\.resolve_conj\(\) in its place"):
        gradcu.load(file)


def test_training_goes_on_in_the_other_library(carried, libraries):
    def network(lib):
        return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Tanh(), lib.nn.Linear(4, 1))

    def train(lib, model, optimizer, schedule):
        x = lib.arange(12.0).reshape(4, 3) / 12
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    def start(lib):
        model = network(lib)
        optimizer = lib.optim.AdamW(model.parameters(), lr=0.1)
        return model, optimizer, lib.optim.lr_scheduler.StepLR(optimizer, 2)

    writer, reader = libraries
    parts = start(writer)
    for _ in range(3):
        train(writer, *parts)
    checkpoint = carried(lambda lib: {"parts": [part.state_dict() for part in parts], "epoch": 3})
    others = start(reader)
    for part, state in zip(others, checkpoint["parts"]):
        part.load_state_dict(state)
    expected = [train(writer, *parts) for _ in range(3)]
    assert [train(reader, *others) for _ in range(3)] == pytest.approx(expected, rel=1e-4)


def test_the_memory_of_a_view_is_written_once():
    base = gradcu.zeros(100_000)
    parts = saved(gradcu, [base, *base.split(10)]).getbuffer().nbytes
    assert 400_000 < parts < 2_000_000


def test_the_same_memory_as_two_dtypes_is_refused(libraries):
    x = libraries[0].zeros(2, dtype=libraries[0].complex64)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        libraries[0].save([x, libraries[0].view_as_real(x)], io.BytesIO())


def test_memory_of_numpy_in_any_order_comes_back():
    for array in (np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(6.0)[::2], np.zeros((2, 0))):
        t = gradcu.from_numpy(array)
        assert there_and_back(t).tolist() == array.tolist()


def test_storages_are_aligned():
    with zipfile.ZipFile(saved(gradcu, [gradcu.ones(i) for i in range(1, 9)])) as archive:
        assert archive.testzip() is None
        starts = {e.header_offset + 30 + len(e.filename) + len(e.extra) for e in archive.infolist()}
    assert {start % 64 for start in starts} == {0}


# --- files, paths, places ---


def test_paths_files_and_buffers(tmp_path, torch):
    x = torch.arange(3)
    for path in (tmp_path / "a", str(tmp_path / "b")):
        torch.save(x, path)
        assert torch.load(path).tolist() == [0, 1, 2]
        with open(path, "rb") as file:
            assert torch.load(file).tolist() == [0, 1, 2]
    with open(tmp_path / "c", "wb") as file:
        torch.save(x, file)
    assert torch.load(pathlib.Path(tmp_path / "c")).tolist() == [0, 1, 2]


def test_what_is_no_file_is_refused(refused_alike, tmp_path):
    refused_alike(lambda lib: lib.save(1, 3))
    refused_alike(lambda lib: lib.save(1, str(tmp_path / "none" / "x")))
    refused_alike(lambda lib: lib.load(str(tmp_path / "none")))


def test_a_file_without_end_is_refused(torch):
    with pytest.raises(AttributeError, match=r"You can only .*load from a file that is seekable"):
        torch.load(object())


def test_a_failed_save_leaves_the_old_file_alone(tmp_path):
    class Unwilling:
        def __reduce__(self):
            raise ValueError("no")

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError("disk full")

    gradcu.save({"epoch": 1}, tmp_path / "file")
    with pytest.raises(ValueError, match="no"):
        gradcu.save({"epoch": Unwilling()}, tmp_path / "file")
    with pytest.raises(OSError, match="disk full"):
        gradcu.save({"epoch": 2}, Full())
    assert gradcu.load(tmp_path / "file") == {"epoch": 1}
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes of POSIX")
def test_a_link_stays_a_link_and_the_umask_holds(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    old = os.umask(0o027)
    try:
        gradcu.save(1, tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_mmap_reads_a_private_copy_of_the_file(libraries, tmp_path):
    writer, reader = libraries
    writer.save({"x": writer.arange(1000.0), "b": writer.ones(3, dtype=writer.bool)}, tmp_path / "f")
    loaded = reader.load(tmp_path / "f", mmap=True)
    loaded["x"].add_(1)
    assert loaded["x"].tolist() == list(range(1, 1001))
    assert not loaded["x"].is_shared()
    assert reader.load(tmp_path / "f")["x"].tolist() == list(range(1000))


def test_mmap_needs_a_path_and_the_zip_format(torch, tmp_path):
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        torch.load(saved(torch, 1), mmap=True)
    torch.save(1, tmp_path / "old", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved"):
        torch.load(tmp_path / "old", mmap=True)


def placed(lib, location):
    """A file with a tensor that was saved on another device."""
    content = saved(lib, {"x": lib.arange(2.0)})
    changed = io.BytesIO()
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(b"X\x03\x00\x00\x00cpu", b"X%b%b" % (len(location).to_bytes(4, "little"), location))
            new.writestr(entry.filename, data)
    changed.seek(0)
    return changed


LOCATIONS = {
    "text": lambda lib: "cpu",
    "device": lambda lib: lib.device("cpu"),
    "dict": lambda lib: {"cuda:0": "cpu"},
    "function": lambda lib: lambda storage, location: storage if location == "cuda:0" else 1 / 0,
}


@pytest.mark.parametrize("form", LOCATIONS)
def test_map_location(torch, form):
    x = torch.load(placed(torch, b"cuda:0"), map_location=LOCATIONS[form](torch))["x"]
    assert x.device.type == "cpu"
    assert x.tolist() == [0, 1]


@pytest.mark.parametrize("map_location", [None, {"cpu": "cpu"}, lambda storage, location: None])
def test_a_device_that_is_not_there_is_named(map_location):
    if gradcu.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(
        RuntimeError, match=r"deserialize object on a CUDA device but gradcu.cuda.is_available\(\) is F"
    ):
        gradcu.load(placed(gradcu, b"cuda:0"), map_location=map_location)
    with pytest.raises(RuntimeError, match=r"don't know how to restore data location .*\(tagged with tpu\)"):
        gradcu.load(placed(gradcu, b"tpu"), map_location=map_location)


def test_files_of_the_other_byte_order_are_read():
    content = saved(gradcu, gradcu.arange(3, dtype=gradcu.int32))
    changed = io.BytesIO()
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("byteorder"):
                data = b"big" if sys.byteorder == "little" else b"little"
            if entry.filename.endswith("data/0"):
                data = np.frombuffer(data, "i4").byteswap().tobytes()
            new.writestr(entry.filename, data)
    changed.seek(0)
    assert gradcu.load(changed).tolist() == [0, 1, 2]


# --- what is refused ---


class Harmless:
    """A class of the user's own."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x

    __hash__ = None


class WithSlots:
    __slots__ = ("a",)


class Program:
    """What runs when it is unpickled."""

    ran = False

    def __reduce__(self):
        return _run, ()


def _run():
    Program.ran = True


def test_a_program_in_a_file_is_refused_by_name_and_does_not_run(carried):
    with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed") as refused:
        carried(lambda lib: [Program()])
    words = f"WeightsUnpickler error: Unsupported global: GLOBAL {__name__}._run was not an allowed global by default."
    assert words in str(refused.value)
    assert f"add_safe_globals([{__name__}._run])" in str(refused.value)
    assert not Program.ran


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "GLOBAL os.system whose module os is blocked"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "GLOBAL eval"),
        (b"\x80\x02cbuiltins\ngetattr\n.", "GLOBAL getattr"),
        (b"\x80\x02ctorch.nn.parameter\nParameter\n)R.", "reduce for unrecognized function"),
        (b"\x80\x02ctorch\nTensor\nK\x05\x85\x81.", "Can only create new object"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor\n}b.", "Can only build"),
        (b"\x80\x02K\x01K\x02a.", "append"),
        (b"\x80\x02K\x01K\x02K\x03s.", "SETITEM"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "Unsupported operand"),
        (b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.", "corrupt"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "encoding"),
        (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.", "nested tuples"),
        (b"\x80\x02(((" + b".", "corrupt"),
        (b"\x80\x02h\x05.", "corrupt|Memo"),
        (b"\x80\x02X\xff\xff\xff\xffa.", "corrupt|Ran out"),
        (b"", "Ran out|corrupt"),
    ],
)
def test_pickles_that_do_more_than_data_are_refused(program, words):
    for content in (with_pickle(program), b"".join(pickle.dumps(x, 2) for x in (MAGIC, 1001, {})) + program):
        with pytest.raises((pickle.UnpicklingError, EOFError), match=words):
            gradcu.load(io.BytesIO(content))


MAGIC = 0x1950A86A20F9469CFC6C


def with_pickle(program, records=(), **settings):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **settings) as archive:
        archive.writestr("x/data.pkl", program)
        for name, data in (("x/version", b"3\n"), *records):
            archive.writestr(name, data)
    return file.getvalue()


def tensor_program(offset=0, size=(2,), stride=(1,), numel=2, key="0", kind="torch\nFloatStorage", location="cpu"):
    """The pickle of one tensor, as claimed by its arguments."""

    def code(value):
        if isinstance(value, tuple):
            return b"(" + b"".join(map(code, value)) + b"t"
        if isinstance(value, str):
            return b"X" + len(value).to_bytes(4, "little") + value.encode()
        if isinstance(value, bytes):
            return value
        return b"\x8a\x09" + int(value).to_bytes(9, "little", signed=True)

    storage = code(("storage", b"c" + kind.encode() + b"\n", key, location, numel)) + b"Q"
    arguments = code((storage, offset, size, stride, b"\x89", b"N"))
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."


CLAIMS = {
    "more elements than the record": {"numel": 3},
    "fewer elements": {"numel": 1},
    "absurd storage": {"numel": 1 << 60},
    "negative storage": {"numel": -1},
    "beyond the storage": {"size": (3,)},
    "far beyond": {"size": (1 << 62, 4)},
    "absurd stride": {"stride": (1 << 62,)},
    "negative stride": {"offset": 1, "stride": (-1,)},
    "negative offset": {"offset": -1},
    "negative size": {"size": (-1,)},
    "more strides": {"stride": (1, 1)},
    "many dimensions": {"size": (1,) * 100, "stride": (1,) * 100},
    "another file": {"key": "../../../etc/passwd"},
    "no record": {"key": "7"},
    "no storage": {"kind": "torch\nfloat32"},
    "no location": {"location": 5},
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_tensors_that_do_not_fit_are_refused(claim):
    good = with_pickle(tensor_program(), [("x/data/0", bytes(8))])
    assert gradcu.load(io.BytesIO(good)).tolist() == [0, 0]
    bad = with_pickle(tensor_program(**CLAIMS[claim]), [("x/data/0", bytes(8))])
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        gradcu.load(io.BytesIO(bad))


ARCHIVES = {
    "compressed": lambda: with_pickle(tensor_program(numel=1 << 28), [("x/data/0", bytes(1 << 20))], compression=8),
    "path up": lambda: with_pickle(b"\x80\x02N.", [("x/../../evil", b"")]),
    "absolute path": lambda: with_pickle(b"\x80\x02N.", [("/etc/passwd", b"")]),
    "another folder": lambda: with_pickle(b"\x80\x02N.", [("y/data/0", b"")]),
    "twice": lambda: with_pickle(b"\x80\x02N.", [("x/data/0", b"1"), ("x/data/0", b"2")]),
    "no pickle": lambda: with_pickle(b"\x80\x02N.").replace(b"data.pkl", b"data.xxx"),
    "a program of TorchScript": lambda: with_pickle(b"\x80\x02N.", [("x/constants.pkl", b"")]),
    "half": lambda: saved(gradcu, gradcu.ones(1000)).getvalue()[:3000],
    "a changed number": lambda: flipped(saved(gradcu, gradcu.ones(1000)).getvalue(), 2000),
}


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("damage", ARCHIVES)
def test_damaged_archives_are_refused(damage):
    with pytest.raises(RuntimeError, match=r"failed reading zip archive|TorchScript"):
        gradcu.load(io.BytesIO(ARCHIVES[damage]()))


def test_records_that_overlap_are_no_bomb():
    """Many entries of the directory for the same large record: each would be read into memory of its own."""
    good = with_pickle(b"\x80\x02N.", [(f"x/data/{i}", bytes(100_000) if i == 0 else b"") for i in range(50)])
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        large = archive.getinfo("x/data/0")
        bomb = io.BytesIO(good)
        with zipfile.ZipFile(bomb, "a") as changed:
            for entry in changed.infolist()[3:]:
                entry.header_offset, entry.file_size = large.header_offset, large.file_size
                entry.compress_size, entry.CRC = large.compress_size, large.CRC
            changed._didModify = True
    bomb.seek(0)
    with pytest.raises(RuntimeError, match="failed reading zip archive"):
        gradcu.load(bomb)


@pytest.mark.parametrize("content", [b"not a tensor in sight", b"\x80\x02K\x01.", b"\x80\x02N."])
def test_other_files_are_refused(content):
    with pytest.raises(RuntimeError, match="Invalid magic number; corrupt file"):
        gradcu.load(io.BytesIO(content))


def test_an_empty_file_is_refused(torch):
    with pytest.raises(EOFError):
        torch.load(io.BytesIO())


def test_damaged_files_are_refused_or_read_right():
    """A thousand files with bytes changed, cut, doubled or exchanged, anywhere or within the pickle alone."""
    resource = pytest.importorskip("resource")
    rng = random.Random(7)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    base = gradcu.arange(20.0)
    whole = {"m": model.state_dict(), "v": [base, base[3:9:2]], "e": (1, 2.5, "x", None, {1}), "d": gradcu.float16}
    new, old = (saved(gradcu, whole, _use_new_zipfile_serialization=z).getvalue() for z in (True, False))
    with zipfile.ZipFile(io.BytesIO(new)) as archive:
        records = [(e.filename, archive.read(e)) for e in archive.infolist()]

    def damaged(data):
        data = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            a, b = sorted(rng.randrange(len(data)) for _ in range(2))
            what = rng.randrange(5)
            if what == 0:
                data[a] = rng.randrange(256)
            elif what == 1:
                del data[a : a + rng.choice((1, 4, len(data)))]
            elif what == 2:
                data[a:a] = data[b : b + 40]
            elif what == 3:
                data[a : a + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", bytes(4)))
            else:
                data[a] = rng.choice(b"().0123NTQRbceghijlopqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a\x94")
            if not data:
                break
        return bytes(data)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = right = 0
    for i in range(1200):
        if i % 3 == 0:
            content = damaged(new)
        elif i % 3 == 1:
            content = damaged(old)
        else:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                for name, data in records:
                    archive.writestr(name, damaged(data) if name.endswith("data.pkl") else data)
            content = file.getvalue()
        try:
            loaded = gradcu.load(io.BytesIO(content))
        except (RuntimeError, pickle.UnpicklingError, EOFError):
            refused += 1
        else:
            right += 1
            repr(loaded)
    assert refused > 600
    assert refused + right == 1200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


# --- what the user trusts ---


@pytest.fixture
def nothing_trusted():
    yield
    serialization.clear_safe_globals()


def test_classes_declared_safe_are_read(libraries, nothing_trusted):
    reader = libraries[1].serialization
    file = saved(libraries[0], {"h": Harmless(3), "x": libraries[0].ones(1)})
    for _ in range(2):
        with pytest.raises(pickle.UnpicklingError):
            libraries[1].load(file)
        file.seek(0)
        with reader.safe_globals([Harmless]):
            assert libraries[1].load(file)["h"] == Harmless(3)
        file.seek(0)
    reader.add_safe_globals([Harmless])
    assert Harmless in reader.get_safe_globals()
    assert libraries[1].load(file)["h"] == Harmless(3)
    reader.clear_safe_globals()
    assert reader.get_safe_globals() == []


def test_a_trusted_class_under_another_name(nothing_trusted):
    file = saved(gradcu, Harmless(3))
    with serialization.safe_globals([(WithSlots, f"{__name__}.Harmless")]), pytest.raises(pickle.UnpicklingError):
        gradcu.load(file)  # it has no place for the attribute x
    file.seek(0)

    class Other(Harmless):
        pass

    with serialization.safe_globals([(Other, f"{__name__}.Harmless")]):
        assert type(gradcu.load(file)) is Other
    for wrong, error in (((Other,), ValueError), ((Other, 3), TypeError)):
        with serialization.safe_globals([wrong]), pytest.raises(error):
            gradcu.load(io.BytesIO(file.getvalue()))


def test_arrays_of_numpy_are_read_if_declared_safe(nothing_trusted):
    file = saved(gradcu, {"a": np.arange(3.0), "s": np.float64(2)})
    needed = serialization.get_unsafe_globals_in_checkpoint(file)
    assert needed
    assert all(name.startswith("numpy") for name in needed)
    file.seek(0)
    core = np._core.multiarray
    allowed = [np.ndarray, np.dtype, type(np.dtype(float))]
    allowed += [(f, f"numpy._core.multiarray.{f.__name__}") for f in (core._reconstruct, core.scalar)]
    with serialization.safe_globals(allowed):
        assert gradcu.load(file)["a"].tolist() == [0, 1, 2]


@pytest.mark.skipif(hasattr(gradcu, "float8_e5m2"), reason="there they are")
def test_dtypes_that_are_not_there_are_named(original):
    with pytest.raises(pickle.UnpicklingError, match=r"tensors of torch\.float8_e5m2, a dtype that gradcu does"):
        gradcu.load(saved(original, original.ones(2).to(original.float8_e5m2)))


def test_unsafe_names_are_listed(torch, nothing_trusted):
    file = saved(torch, {"h": Harmless(1), "c": Counter(), "x": torch.ones(2)})
    assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == [f"{__name__}.Harmless"]
    file.seek(0)
    with torch.serialization.safe_globals([Harmless]):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(file) == []


def test_any_object_with_weights_only_false(carried, libraries):
    file = saved(libraries[0], [Harmless(libraries[0].ones(2)), Program()])
    Program.ran = False
    loaded = libraries[1].load(file, weights_only=False)
    assert loaded[0].x.tolist() == [1, 1]
    assert Program.ran


def test_whole_modules_with_weights_only_false(original):
    for lib in (original, gradcu):
        model = lib.nn.Sequential(lib.nn.Linear(3, 2), lib.nn.ReLU(), lib.nn.Dropout(0.5)).eval()
        loaded = gradcu.load(saved(lib, model), weights_only=False)
        assert type(loaded) is nn.Sequential
        assert loaded(gradcu.ones(1, 3)).tolist()[0] == pytest.approx(model(lib.ones(1, 3)).tolist()[0])
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.futures\.Future of PyTorch has no counterpart"):
        gradcu.load(io.BytesIO(with_pickle(b"\x80\x02ctorch.futures\nFuture\n.")), weights_only=False)


def test_a_pickle_module_of_the_users_own(torch):
    import types

    module = types.SimpleNamespace(Unpickler=pickle.Unpickler, load=pickle.load, __name__="mine")
    assert torch.load(saved(torch, {1: torch.ones(1)}), pickle_module=module)[1].tolist() == [1]
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        torch.load(saved(torch, 1), pickle_module=module, weights_only=True)


def test_pickles_of_tensors_are_compact():
    for t in (gradcu.ones(1000), gradcu.ones(500, dtype=gradcu.float64), nn.Parameter(gradcu.ones(1000))):
        assert len(pickle.dumps(t)) < 4000 + 500
