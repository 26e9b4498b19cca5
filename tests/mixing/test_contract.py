"""The contract of torchvision's batch transforms, on DSMix and, where it is shared, on ``v2.CutMix`` too.

A release of torchvision that moves the contract fails here on CutMix. Where DSMix is compared with CutMix, it is built
with ``weighting="area"``, because that needs no map.
"""

import copy
import io
import multiprocessing
import pickle
import random
import warnings
from collections import OrderedDict, namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch.utils._pytree import tree_flatten, tree_structure
from torch.utils.data import DataLoader, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DSMix, Reference, SensitivityMap, collate_tv_tensors

NUM_CLASSES = 10
Batch = namedtuple("Batch", ["image", "target"])

CUTMIX = partial(v2.CutMix, num_classes=NUM_CLASSES)
AREA = partial(DSMix, num_classes=NUM_CLASSES, weighting="area")
both = pytest.mark.parametrize("make", [CUTMIX, AREA], ids=["CutMix", "DSMix"])


def images(batch_size=4, channels=3, height=48, width=64, dtype=torch.float32):
    if dtype == torch.uint8:
        return torch.randint(0, 256, (batch_size, channels, height, width), dtype=dtype)
    return torch.rand(batch_size, channels, height, width).to(dtype)


def int_labels(batch_size=4):
    return torch.arange(batch_size) % NUM_CLASSES


def pairs(batch_size=4, **kwargs):
    """Images, references and a DSMix that reads its map from them."""
    references = images(batch_size, **kwargs)
    return images(batch_size, **kwargs), Reference(references)


class TestStructure:
    @both
    def test_is_a_v2_transform(self, make):
        transform = make()
        assert isinstance(transform, v2.Transform)
        assert isinstance(transform, torch.nn.Module)

    @both
    @pytest.mark.parametrize(
        "pack",
        [
            lambda x, y: (x, y),
            lambda x, y: [x, y],
            lambda x, y: Batch(x, y),
            lambda x, y: {"image": x, "label": y},
            lambda x, y: OrderedDict(image=x, labels=y, name="a"),
            lambda x, y: (x, {"labels": y, "extra": [1, "b", None]}),
            lambda x, y: [x, y, Path("a"), object()],
        ],
    )
    def test_structure_comes_back(self, make, pack):
        sample = pack(images(), int_labels())
        mixed = make()(sample)
        assert type(mixed) is type(sample)
        assert tree_structure(mixed) == tree_structure(sample)
        assert list(mixed) == list(sample) if isinstance(sample, dict) else len(mixed) == len(sample)

    @both
    def test_positional_arguments_come_back_as_a_tuple(self, make):
        mixed = make()(images(), int_labels())
        assert type(mixed) is tuple
        assert mixed[1].shape == (4, NUM_CLASSES)

    @both
    def test_everything_else_is_the_same_object(self, make):
        others = ["text", None, 3, 2.5, Path("a"), object(), np.zeros(3), torch.zeros(4), tv_tensors.TVTensor]
        mixed = make()([images(), int_labels(), *others])
        assert all(mixed[2 + i] is other for i, other in enumerate(others))

    @both
    @pytest.mark.parametrize("explicit", [False, True])
    def test_rule_of_the_first_plain_tensor(self, make, explicit):
        """The first one is the image, or none where there is a ``tv_tensors.Image``."""
        first, second = images(), images()
        image = tv_tensors.Image(second) if explicit else second
        out = make()({"first": first, "labels": int_labels(), "image": image})
        assert (out["first"] is first) == explicit
        assert (out["image"] is image) != explicit

    @both
    def test_several_images_get_the_same_box_and_partner(self, make):
        index = torch.arange(4 * 48 * 64).reshape(4, 1, 48, 64).double()
        first, _, second = make()(tv_tensors.Image(index), int_labels(), tv_tensors.Image(index + 0.5))
        assert torch.equal(first + 0.5, second)

    @both
    def test_images_of_different_sizes_are_refused(self, make):
        with pytest.raises(ValueError, match=r"Found multiple HxW dimensions.*\(32, 32\).*\(48, 64\)"):
            make()(tv_tensors.Image(images(height=32, width=32)), int_labels(), tv_tensors.Image(images()))

    def test_label_before_image_works(self):
        out = AREA()({"label": int_labels(), "image": images()})
        assert out["label"].shape == (4, NUM_CLASSES)

    def test_foreign_tv_tensor_passes_through(self):
        class Depth(tv_tensors.TVTensor):
            pass

        depth = torch.zeros(4, 1, 48, 64).as_subclass(Depth)
        assert AREA()(tv_tensors.Image(images()), int_labels(), depth)[2] is depth


class TestRefusals:
    @pytest.mark.parametrize(
        "leaf",
        [
            PIL.Image.new("RGB", (8, 8)),
            tv_tensors.Mask(torch.zeros(4, 48, 64)),
            tv_tensors.BoundingBoxes(torch.zeros(4, 4), format="XYXY", canvas_size=(48, 64)),
        ],
        ids=["PIL", "Mask", "BoundingBoxes"],
    )
    @both
    def test_unsupported_leaves(self, make, leaf):
        batch, state = images(), torch.get_rng_state()
        with pytest.raises(ValueError, match=r"(CutMix|DSMix)\(\) does not support PIL images"):
            make()(batch, int_labels(), leaf)
        assert torch.equal(torch.get_rng_state(), state)

    def test_video(self):
        with pytest.raises(ValueError, match=r"DSMix\(\) does not support .*videos"):
            AREA()(tv_tensors.Video(torch.zeros(4, 2, 3, 48, 64)), int_labels())

    @both
    @pytest.mark.parametrize("shape", [(3, 48, 64), (4, 2, 3, 48, 64)])
    def test_rank(self, make, shape):
        with pytest.raises(ValueError, match="Expected a batched input with 4 dims"):
            make()(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.int64))

    @both
    def test_batch_size(self, make):
        with pytest.raises(ValueError, match=r"batch size of the labels: 4 != 3"):
            make()(images(), int_labels(3))

    def test_batch_size_of_the_map(self):
        dsm = SensitivityMap(torch.ones(3, 3, 4), patch_size=16, canvas_size=(48, 64))
        with pytest.raises(ValueError, match=r"\(4, 3, 4\).*\(3, 3, 4\)"):
            DSMix(num_classes=NUM_CLASSES)(images(), int_labels(), dsm)

    @both
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1, 2, 3], "The labels must be a tensor, but got"),
            (None, "The labels must be a tensor, but got"),
            ("label", "The labels must be a tensor, but got"),
            (torch.tensor(1), "labels should be index based"),
            (torch.zeros(4, 2, 2), "labels should be index based"),
            (torch.zeros(4, 7), "When passing 2D labels, .* must match num_classes: 7 != 10"),
        ],
    )
    def test_labels(self, make, labels, message):
        with pytest.raises(ValueError, match=message):
            make(labels_getter=lambda sample: sample["y"])({"x": images(), "y": labels})

    @pytest.mark.parametrize("make", [v2.CutMix, partial(DSMix, weighting="area")], ids=["CutMix", "DSMix"])
    def test_indices_need_num_classes(self, make):
        with pytest.raises(ValueError, match="num_classes must be passed if the labels are index-based"):
            make()(images(), int_labels())

    @pytest.mark.parametrize(("value", "message"), [(10, "smaller than num_classes"), (-1, "non-negative")])
    def test_class_out_of_range(self, value, message):
        batch, state = images(), torch.get_rng_state()
        with pytest.raises(ValueError, match=message):
            AREA()(batch, torch.tensor([0, 1, 2, value]))
        assert torch.equal(torch.get_rng_state(), state)

    def test_getter_that_returns_a_copy(self):
        with pytest.raises(ValueError, match="labels_getter should return one of the sample's own tensors"):
            AREA(labels_getter=lambda sample: sample[1].clone())(images(), int_labels())

    @pytest.mark.parametrize(
        ("kwargs", "error", "message"),
        [
            ({"alpha": 0}, ValueError, "alpha should be positive and finite, got 0"),
            ({"alpha": float("nan")}, ValueError, "alpha should be positive and finite, got nan"),
            ({"alpha": "1"}, TypeError, "alpha should be a number"),
            ({"num_classes": 0}, ValueError, "num_classes should be at least 1"),
            ({"num_classes": 2.0}, TypeError, "num_classes should be an integer"),
            ({"patch_size": 0}, ValueError, "patch_size"),
            ({"patch_size": 1.5}, TypeError, "patch_size"),
            ({"weighting": "max"}, ValueError, "weighting should be one of"),
            ({"box": "pixel"}, ValueError, "box should be one of"),
            ({"partner": "flip"}, ValueError, "partner should be one of"),
            ({"p": 1.5}, ValueError, r"`p` should be a floating point value in the interval \[0.0, 1.0\]"),
            ({"p": float("nan")}, ValueError, "`p` should be"),
            ({"estimator": 3}, TypeError, "estimator should be callable or None"),
            ({"map_getter": "dsm"}, TypeError, "map_getter should be callable or None"),
            ({"labels_getter": "labels"}, ValueError, "labels_getter should either be 'default', a callable, or None"),
        ],
    )
    def test_settings(self, kwargs, error, message):
        with pytest.raises(error, match=message):
            DSMix(**kwargs)

    @both
    def test_settings_are_keywords(self, make):
        with pytest.raises(TypeError):
            make.func(1.0)

    def test_no_map(self):
        with pytest.raises(ValueError, match=r"Reference.*SensitivityMap.*map_getter.*estimator"):
            DSMix(num_classes=NUM_CLASSES)(images(), int_labels())


class TestLabels:
    @both
    def test_indices_become_soft_rows(self, make):
        _, soft = make()(images(7), int_labels(7))
        assert soft.dtype == torch.float32
        torch.testing.assert_close(soft.sum(1), torch.ones(7), rtol=0, atol=1e-6)
        assert ((soft > 0).sum(1) <= 2).all()

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
    def test_indices_of_any_integer_dtype(self, dtype):
        torch.manual_seed(1)
        expected = AREA()(images(), int_labels())[1]
        torch.manual_seed(1)
        assert torch.equal(AREA()(images(), int_labels().to(dtype))[1], expected)

    @both
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_soft_labels_keep_their_dtype(self, make, dtype):
        soft = torch.eye(NUM_CLASSES)[:4].to(dtype)
        assert make()(images(), soft)[1].dtype == dtype

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.bool], ids=str)
    def test_other_dtypes_are_named(self, dtype):
        labels = torch.rand(4).to(dtype)
        with pytest.raises(TypeError, match=rf"labels should be of an integer or a floating point .* got {dtype}"):
            DSMix(weighting="area")(images(), labels)
        with pytest.raises(TypeError, match=rf"map_getter should give a dense map of numbers, got {dtype}"):
            DSMix(num_classes=NUM_CLASSES, map_getter=lambda sample: torch.rand(4, 2, 2).to(dtype))(
                images(), int_labels()
            )

    @both
    def test_integer_one_hot_becomes_float(self, make):
        assert make()(images(), torch.eye(NUM_CLASSES, dtype=torch.int64)[:4])[1].dtype == torch.float32

    @both
    def test_twice_in_a_row(self, make):
        _, soft = v2.Compose([make(), make()])(images(), int_labels())
        torch.testing.assert_close(soft.sum(1), torch.ones(4))

    @pytest.mark.parametrize("shape", [(4,), (4, 1)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_scores_keep_shape_and_dtype(self, shape, dtype):
        scores = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=dtype).reshape(shape)
        transform = DSMix(weighting="area")
        params = transform.make_params([images()])
        mixed = transform.transform(scores, {"labels": scores, **params})
        lam = params["lam"].to(dtype).reshape(shape)
        torch.testing.assert_close(mixed, lam * scores + (1 - lam) * scores.roll(1, 0))

    def test_skipping_leaves_soft_labels_and_equal_images(self):
        batch = images()
        mixed, soft = AREA(p=0.0)(batch, int_labels())
        assert torch.equal(mixed, batch)
        assert torch.equal(soft, torch.eye(NUM_CLASSES)[:4])

    @both
    @pytest.mark.parametrize("key", ["labels", "LABELS", "LaBeL", "SOME_WEIRD_KEY_THAT_HAS_LABeL_IN_IT"])
    @pytest.mark.parametrize("form", ["tuple", "list", "dict"])
    def test_default_getter(self, make, key, form):
        image, target = images(), {key: int_labels(), "other": "x"}
        sample = {"image": image, **target} if form == "dict" else {"tuple": tuple, "list": list}[form]((image, target))
        mixed = make()(sample)
        soft = mixed[key] if form == "dict" else mixed[1][key]
        assert soft.shape == (4, NUM_CLASSES)

    @both
    def test_labels_wins_over_other_keys(self, make):
        sample = {"image": images(), "label_a": int_labels(), "labels": int_labels(), "b_label": int_labels()}
        mixed = make()(sample)
        assert mixed["labels"].ndim == 2
        assert mixed["label_a"] is sample["label_a"]

    @both
    def test_no_label_in_sight(self, make):
        with pytest.raises(ValueError, match="Could not infer where the labels are"):
            make()({"image": images(), "target": int_labels()})

    @both
    def test_default_getter_needs_a_known_structure(self, make):
        with pytest.raises(ValueError, match="the input passed to forward must be a dictionary or a two-tuple"):
            make()((images(), "text"))

    def test_keys_that_are_no_strings(self):
        assert AREA()({0: images(), "labels": int_labels()})["labels"].ndim == 2

    @both
    def test_none_getter_fails_clearly(self, make):
        with pytest.raises(ValueError, match="The labels must be a tensor"):
            make(labels_getter=None)(images(), int_labels())


class TestTensors:
    @both
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    def test_dtype_and_layout_are_kept(self, make, dtype, layout):
        batch = images(dtype=dtype).contiguous(memory_format=layout)
        mixed, _ = make()(batch, int_labels())
        assert mixed.dtype == dtype
        assert mixed.is_contiguous(memory_format=layout)

    @pytest.mark.parametrize("weighting", ["mass", "retained", "area"])
    @pytest.mark.parametrize("box", ["batch", "sample"])
    def test_inputs_are_neither_modified_nor_aliased(self, weighting, box):
        batch, references = pairs()
        labels = torch.eye(NUM_CLASSES)[:4]
        inputs = (batch, labels, references)
        before, versions = [x.clone() for x in inputs], [x._version for x in inputs]
        for p in (0.0, 1.0):
            mixed = DSMix(num_classes=NUM_CLASSES, weighting=weighting, box=box, p=p)(*inputs)
            for x, y in zip(inputs, mixed, strict=True):
                assert x.untyped_storage().data_ptr() != y.untyped_storage().data_ptr()
        assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))
        assert [x._version for x in inputs] == versions

    def test_uint8_is_cut_and_pasted_as_float_is(self):
        batch = images(dtype=torch.uint8)
        results = []
        for x in (batch, batch.float()):
            torch.manual_seed(2)
            results.append(AREA()(x, int_labels())[0].float())
        assert torch.equal(*results)

    @both
    @pytest.mark.parametrize("mode", ["Tensor", "TVTensor"])
    def test_image_class_is_kept(self, make, mode):
        class Photo(tv_tensors.Image):
            pass

        with tv_tensors.set_return_type(mode):
            assert type(make()(tv_tensors.Image(images()), int_labels())[0]) is tv_tensors.Image
            assert type(make()(images().as_subclass(Photo), int_labels())[0]) is Photo

    @both
    @pytest.mark.parametrize("batch_size", [1, 2, 5])
    @pytest.mark.parametrize(("height", "width"), [(1, 40), (40, 1), (33, 50), (16, 16)])
    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_sizes(self, make, batch_size, height, width, channels):
        batch = images(batch_size, channels, height, width)
        mixed, soft = make()(batch, int_labels(batch_size))
        assert mixed.shape == batch.shape
        assert soft.shape == (batch_size, NUM_CLASSES)

    @both
    def test_empty_batch(self, make):
        mixed, soft = make()(images(0), int_labels(0))
        assert mixed.shape == (0, 3, 48, 64)
        assert soft.shape == (0, NUM_CLASSES)

    @both
    def test_batch_of_one_is_the_image_itself(self, make):
        batch = images(1)
        mixed, soft = make()(batch, int_labels(1))
        assert torch.equal(mixed, batch)
        torch.testing.assert_close(soft, torch.eye(NUM_CLASSES)[:1])

    @both
    @pytest.mark.parametrize("kind", ["non_contiguous", "expanded", "inference"])
    def test_strides_and_modes(self, make, kind):
        batch = images()
        if kind == "non_contiguous":
            batch = batch.mT.contiguous().mT
        elif kind == "expanded":
            batch = batch[:1].expand(4, -1, -1, -1)
        else:
            with torch.inference_mode():
                batch = batch.clone()
        torch.manual_seed(4)
        with torch.inference_mode(kind == "inference"):
            mixed, _ = make()(batch, int_labels())
        torch.manual_seed(4)
        plain = torch.empty(batch.shape).copy_(batch)
        assert torch.equal(mixed, make()(plain, int_labels())[0])

    @both
    def test_gradient_flows_to_both_images(self, make):
        batch = images().requires_grad_()
        torch.manual_seed(0)
        make()(batch, int_labels())[0].sum().backward()
        # every output pixel comes from one input pixel, so the gradients of all pixels add up to their number
        assert batch.grad.sum() == batch.numel()


class TestRandomness:
    @both
    def test_seed_reproduces_and_only_torch_is_used(self, make):
        batch = images()
        states = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
        outputs = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            outputs.append(make()(batch, int_labels())[0])
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        assert random.getstate() == states[0]
        assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002

    @both
    def test_draws_do_not_depend_on_dtype(self, make):
        states = []
        for dtype in (torch.uint8, torch.float32, torch.float64):
            batch = images(dtype=dtype)
            torch.manual_seed(3)
            make()(batch, int_labels())
            states.append(torch.get_rng_state())
        assert torch.equal(states[0], states[1])
        assert torch.equal(states[0], states[2])

    @both
    def test_eval_mode_still_mixes(self, make):
        torch.manual_seed(0)
        batch = images()
        assert not torch.equal(make().eval()(batch, int_labels())[0], batch)

    def test_generator_leaves_the_global_stream_alone(self):
        batch, references = pairs()
        transform = DSMix(num_classes=NUM_CLASSES, box="sample", partner="random", p=0.5)
        state = torch.get_rng_state()
        runs = [
            transform(batch, int_labels(), references, generator=torch.Generator().manual_seed(5)) for _ in range(2)
        ]
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(x, y) for x, y in zip(*runs, strict=True))

    def test_boxes_are_those_of_cutmix_up_to_snapping(self):
        """With patches of 1 px nothing is snapped, and the same seed gives CutMix's result."""
        batch = images()
        for seed in range(20):
            torch.manual_seed(seed)
            expected = v2.CutMix(num_classes=NUM_CLASSES)(batch, int_labels())
            torch.manual_seed(seed)
            mixed = AREA(patch_size=1)(batch, int_labels())
            assert torch.equal(mixed[0], expected[0])
            torch.testing.assert_close(mixed[1], expected[1])


class _MixedBatches:
    def __init__(self, unpack: bool, make=AREA) -> None:
        self.mix, self.unpack = make(), unpack

    def __call__(self, samples):
        batch = default_collate(samples)
        return self.mix(*batch) if self.unpack else self.mix(batch)


class TestUse:
    @both
    def test_in_containers(self, make):
        pipeline = v2.Compose(
            [
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomChoice([make(), make()]),
                v2.RandomOrder([make(), make()]),
                v2.RandomApply([make()], p=0.5),
                v2.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )
        mixed, soft = pipeline(images(dtype=torch.uint8), int_labels())
        assert mixed.dtype == torch.float32
        assert soft.shape == (4, NUM_CLASSES)

    @both
    @pytest.mark.parametrize("unpack", [True, False])
    def test_as_collate_function(self, make, unpack):
        samples = [(image, label) for image, label in zip(images(8), int_labels(8), strict=True)]
        for mixed, soft in DataLoader(samples, batch_size=4, collate_fn=_MixedBatches(unpack, make)):
            assert mixed.shape == (4, 3, 48, 64)
            assert soft.shape == (4, NUM_CLASSES)

    @pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
    def test_in_workers(self, method):
        samples = [(image, int(label)) for image, label in zip(images(8), int_labels(8), strict=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking a process with threads
            loader = DataLoader(
                samples,
                batch_size=4,
                num_workers=1 if method == "spawn" else 2,  # each that is spawned imports everything anew
                collate_fn=_MixedBatches(True),
                multiprocessing_context=multiprocessing.get_context(method),
            )
            batches = list(loader)
        assert [soft.shape for _, soft in batches] == [(4, NUM_CLASSES)] * 2

    def test_reference_from_the_dataset(self):
        samples = [(image, 1, Reference(torch.rand(3, 48, 64))) for image in images()]
        _, soft, references = DSMix(num_classes=2)(*collate_tv_tensors(samples))
        assert type(references) is Reference
        assert soft.shape == (4, 2)

    @pytest.mark.parametrize(
        "copy_of",
        [
            copy.deepcopy,
            lambda transform: pickle.loads(pickle.dumps(transform)),
            lambda transform: _through_torch_save(transform),
        ],
        ids=["deepcopy", "pickle", "torch.save"],
    )
    @pytest.mark.parametrize("labels_getter", ["default", None, tree_flatten])
    def test_copies(self, copy_of, labels_getter):
        transform = AREA(alpha=0.5, box="sample", labels_getter=labels_getter)
        assert repr(copy_of(transform)) == repr(transform)

    @both
    def test_state_is_empty(self, make):
        assert make().state_dict() == {}
        assert list(make().parameters()) == []

    def test_estimator_is_no_submodule(self):
        estimator = torch.nn.Conv2d(3, 1, 16, 16)
        transform = DSMix(estimator=estimator)
        assert transform.estimator is estimator
        assert transform.state_dict() == {}
        assert list(transform.modules()) == [transform]

    def test_repr_rebuilds_the_transform(self):
        kwargs = {
            "num_classes": 7,
            "alpha": 0.5,
            "patch_size": 8,
            "weighting": "retained",
            "box": "sample",
            "partner": "random",
            "p": 0.25,
        }
        text = repr(DSMix(**kwargs))
        assert text == f"DSMix({', '.join(f'{name}={value!r}' for name, value in kwargs.items())})"
        assert repr(eval(text)) == text

    @both
    def test_cannot_be_scripted(self, make):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates torch.jit.script
            with pytest.raises(RuntimeError, match="cannot be JIT scripted"):
                torch.jit.script(make())

    def test_compiled_with_the_eager_backend(self):
        batch = images()
        transform = AREA()
        torch.manual_seed(6)
        expected = transform(batch, int_labels())
        torch.manual_seed(6)
        compiled = torch.compile(transform, backend="eager")(batch, int_labels())
        assert all(torch.equal(x, y) for x, y in zip(compiled, expected, strict=True))


def _through_torch_save(transform):
    file = io.BytesIO()
    torch.save(transform, file)
    file.seek(0)
    return torch.load(file, weights_only=False)
