"""Files in one piece, and tensors in files that notice damage: against random damage and a disk that is full."""

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dsmix_aug._files import MAX_HEADER_BYTES, load_tensors, read_header, replace_when_done, save_tensors

KIND = "dsmix_aug.Thing"
DESCRIPTION = {"name": "a thing", "sizes": [1, 2], "share": 0.1}


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(3, 4, 2, 2, generator=generator).contiguous(memory_format=torch.channels_last),
        "half": torch.randn(5, generator=generator).half(),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "bytes": torch.arange(11, dtype=torch.uint8),
        "double": torch.randn(2, generator=generator, dtype=torch.float64),
    }


@pytest.fixture
def path(tensors, tmp_path):
    path = tmp_path / "thing.safetensors"
    save_tensors(path, KIND, DESCRIPTION, tensors)
    return path


def read_content(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[KIND])


def write_content(path, content, tensors=None):
    stored = {name: tensor.contiguous() for name, tensor in (tensors or {}).items()}
    safetensors.torch.save_file(stored, path, {KIND: json.dumps(content)})
    return path


class TestReplaceWhenDone:
    def test_two_writers_of_one_file_do_not_meet(self, tmp_path):
        path = tmp_path / "file.txt"
        with replace_when_done(path) as first:
            first.write_text("first")
            with replace_when_done(path) as second:
                assert second != first
                second.write_text("second")
            assert path.read_text() == "second"
        assert path.read_text() == "first"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("name", ["x" * 251 + ".png", "木" * 83 + ".png", "x" * 255, "." + "x" * 254])
    def test_names_of_any_length(self, tmp_path, name):
        path = tmp_path / name
        with replace_when_done(path) as temporary:
            temporary.write_text("there")
        assert path.read_text() == "there"
        assert list(tmp_path.iterdir()) == [path]

    def test_the_temporary_file_has_the_suffix_and_the_folder(self, tmp_path):
        with replace_when_done(tmp_path / "new" / "folder" / "image.png") as temporary:
            assert temporary.suffix == ".png"  # Pillow chooses the format by it
            assert temporary.parent == tmp_path / "new" / "folder"
            temporary.touch()

    def test_a_file_where_a_folder_should_be_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "scores.csv"
        message = r"scores.csv could not be written: (Not a directory|File exists)"
        with pytest.raises(OSError, match=message), replace_when_done(path) as temporary:
            temporary.touch()

    def test_a_folder_is_not_replaced(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        for path in (Path(), tmp_path / "folder"):
            with pytest.raises(OSError, match=rf"{path} could not be written: "), replace_when_done(path) as temporary:
                temporary.touch()
        assert list(tmp_path.iterdir()) == [tmp_path / "folder"]

    def test_a_full_disk_is_said_in_a_line_and_loses_nothing(self, tmp_path):
        """A limit on the size of files has the same effect: a write in the middle of the file fails."""
        script = (
            "import resource, sys, torch\n"
            "from pathlib import Path\n"
            "from dsmix_aug._files import replace_when_done, save_tensors\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
            "def write_text(path):\n"
            "    with replace_when_done(path) as temporary:\n"
            "        temporary.write_text('x' * 100_000)\n"
            "def write_tensors(path):\n"
            "    save_tensors(path, 'kind', None, {'a': torch.zeros(100_000)})\n"
            "for path, write in zip(map(Path, sys.argv[1:]), (write_text, write_tensors), strict=True):\n"
            "    try:\n"
            "        write(path)\n"
            "    except OSError as error:\n"
            "        print(error)\n"
        )
        paths = [tmp_path / "text", tmp_path / "tensors"]
        for path in paths:
            path.write_text("before")
        done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
        for path, line in zip(paths, done.stdout.splitlines(), strict=True):
            assert f"{path} could not be written: " in line
            assert "File too large" in line
            assert path.read_text() == "before"
        assert set(tmp_path.iterdir()) == set(paths)


class TestTensors:
    def test_round_trip(self, path, tensors):
        description, loaded = load_tensors(path, KIND)
        assert description == DESCRIPTION
        assert loaded.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert loaded[name].dtype == tensor.dtype
            assert torch.equal(loaded[name], tensor)
        header = read_header(path, KIND)
        assert (header.description, header.format) == (DESCRIPTION, 1)
        assert header.tensors["half"] == ("F16", (5,))
        assert list(path.parent.iterdir()) == [path]

    def test_it_is_a_plain_safetensors_file(self, path, tensors):
        assert torch.equal(safetensors.torch.load_file(path)["weight"], tensors["weight"])

    def test_tied_weights(self, tmp_path):
        tensor = torch.rand(4, 3)
        path = tmp_path / "tied.safetensors"
        save_tensors(path, KIND, None, {"a": tensor, "b": tensor, "row": tensor[1], "transposed": tensor.T})
        loaded = load_tensors(path, KIND)[1]
        assert torch.equal(loaded["a"], tensor)
        assert torch.equal(loaded["b"], tensor)
        assert torch.equal(loaded["row"], tensor[1])
        assert torch.equal(loaded["transposed"], tensor.T)

    def test_every_flipped_byte_is_noticed(self, path, tensors):
        content = path.read_bytes()
        draw = random.Random(0)
        header = int.from_bytes(content[:8], "little") + 8
        offsets = [*range(8), *draw.sample(range(8, header), 150), *draw.sample(range(header, len(content)), 50)]
        for offset in offsets:
            damaged = bytearray(content)
            damaged[offset] ^= draw.randrange(1, 256)
            path.write_bytes(damaged)
            if damaged[offset] in b" \t\n\r" and content[offset] == ord(" "):  # white space that ends the header
                continue
            with pytest.raises(ValueError, match=r"thing.safetensors"):
                load_tensors(path, KIND)

    def test_every_truncation_is_noticed(self, path):
        content = path.read_bytes()
        lengths = [*range(12), *random.Random(0).sample(range(12, len(content)), 50), len(content) - 1]
        for length in lengths:
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"thing.safetensors is damaged or not a safetensors file"):
                load_tensors(path, KIND)
        path.write_bytes(content + b"\0")
        with pytest.raises(ValueError, match=r"thing.safetensors is damaged or not a safetensors file"):
            load_tensors(path, KIND)

    def test_changed_on_purpose(self, path, tensors):
        """Whole and well-formed, but not what was written: metadata, names, shapes and values are all summed."""
        content = read_content(path)
        changed = [
            (tensors, {**content, "description": {**DESCRIPTION, "share": 0.2}}),
            ({**tensors, "count": torch.tensor(8)}, content),
            ({**tensors, "half": tensors["half"].view(torch.bfloat16)}, content),
            ({**tensors, "double": tensors["double"].view(1, 2)}, content),
            ({("other" if name == "half" else name): tensor for name, tensor in tensors.items()}, content),
            ({name: tensor for name, tensor in tensors.items() if name != "half"}, content),
            (tensors, {key: value for key, value in content.items() if key != "sha256"}),
            (tensors, {**content, "more": ""}),
        ]
        for number, (other_tensors, entries) in enumerate(changed):
            other = write_content(path.with_name(f"changed{number}.safetensors"), entries, other_tensors)
            with pytest.raises(ValueError, match=rf"changed{number}.safetensors is damaged: "):
                load_tensors(other, KIND)

    def test_one_content_gives_one_file_byte_by_byte(self, path, tensors):
        for number in range(5):
            other = path.with_name(f"{number}.safetensors")
            save_tensors(other, KIND, DESCRIPTION, dict(reversed(tensors.items())))
            assert other.read_bytes() == path.read_bytes()

    def test_other_formats_and_kinds_are_named(self, path):
        content = read_content(path)
        with pytest.raises(ValueError, match=r"thing.safetensors holds no Other \(its metadata has no 'dsmix_aug.Oth"):
            load_tensors(path, "dsmix_aug.Other")
        newer = write_content(path.with_name("newer.safetensors"), {**content, "format": 2, "more": 1})
        with pytest.raises(ValueError, match=r"newer.safetensors has format 2, and this version .* up to 1: update"):
            load_tensors(newer, KIND)
        for number, wrong in enumerate((-1, "1", True, None, 1.0)):
            odd = write_content(path.with_name(f"odd{number}.safetensors"), {**content, "format": wrong})
            with pytest.raises(ValueError, match=r"safetensors is damaged: its format should be a number, got '"):
                load_tensors(odd, KIND)
        older = write_content(path.with_name("older.safetensors"), {"sizes": [1]}, {"a": torch.ones(1)})
        with pytest.raises(ValueError, match=r"older.safetensors has format 0, of an older version"):
            load_tensors(older, KIND)
        description, loaded = load_tensors(older, KIND, oldest_format=0)
        assert (description, loaded["a"]) == ({"sizes": [1]}, 1)

    @pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
    def test_long_headers_are_not_parsed(self, tmp_path, length, monkeypatch):
        path = tmp_path / "long.safetensors"
        with path.open("wb") as file:
            file.write(length.to_bytes(8, "little") + b"{")
            file.truncate(8 + MAX_HEADER_BYTES * 2)
        monkeypatch.setattr(safetensors, "safe_open", None)  # would raise if it were called
        with pytest.raises(ValueError, match=r"long.safetensors is damaged or not a safetensors file"):
            read_header(path, KIND)

    @pytest.mark.parametrize("dump", [pickle.dumps, "torch"])
    def test_pickles_are_not_unpickled(self, tmp_path, dump):
        class Trap:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "sprung"),))

        path = tmp_path / "trap.safetensors"
        if dump == "torch":
            torch.save(Trap(), path)
        else:
            path.write_bytes(dump(Trap()))
        with pytest.raises(ValueError, match=r"trap.safetensors is damaged or not a safetensors file"):
            load_tensors(path, KIND)
        assert not (tmp_path / "sprung").exists()
