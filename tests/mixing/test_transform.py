"""DSMix against a loop over pixels, and the properties that its three weightings promise."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision import tv_tensors
from torchvision.transforms import v2

from dsmix_aug import DSMix, Reference, SensitivityMap, functional, sensitivity_map
from dsmix_aug.maps.patch_grid import pixels_per_patch

WEIGHTINGS = ["mass", "retained", "area"]


def batch(batch_size=5, channels=3, height=50, width=70, dtype=torch.float32):
    """Images and references with a distortion of very different strength per sample."""
    references = torch.rand(batch_size, channels, height, width)
    strength = torch.linspace(0.01, 0.5, max(batch_size, 1))[:batch_size].view(-1, 1, 1, 1)
    images = references + strength * (torch.rand_like(references) - references)
    if dtype == torch.uint8:
        return tuple((x * 255).round().to(dtype) for x in (images, references))
    return images.to(dtype), references.to(dtype)


def pixel_masks(params, batch_size, height, width):
    """(B, H, W) bool, True where a pixel comes from the partner: from the drawn boxes, pixel by pixel."""
    boxes = [params["box"]] * batch_size if isinstance(params["box"], tuple) else params["box"]
    masks = torch.zeros(batch_size, height, width, dtype=torch.bool)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        for y in range(y1, y2):
            for x in range(x1, x2):
                masks[i, y, x] = True
    return masks


def brute_force_lambda(maps, masks, partner, patch_size, weighting):
    """lambda of each sample from sums over single pixels; each pixel has the value of its patch."""
    _, height, width = masks.shape
    rows, columns = torch.arange(height) // patch_size, torch.arange(width) // patch_size
    pixels = maps.double()[:, rows][:, :, columns]
    result = []
    for i, j in enumerate(partner):
        keep, paste = pixels[i][~masks[i]].sum(), pixels[j][masks[i]].sum()
        if weighting == "retained":
            keep = keep / pixels[i].sum() if pixels[i].sum() else torch.zeros(())
            paste = paste / pixels[j].sum() if pixels[j].sum() else torch.zeros(())
        area = (~masks[i]).double().mean()
        use_area = weighting == "area" or keep + paste == 0
        result.append(area if use_area else keep / (keep + paste))
    return torch.stack(result).double()


class TestAgainstPixelLoop:
    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize("box", ["batch", "sample"])
    @pytest.mark.parametrize("partner", ["roll", "random"])
    @pytest.mark.parametrize(("patch_size", "height", "width"), [(16, 48, 64), (16, 50, 70), (7, 30, 16), (1, 9, 11)])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
    def test_images_labels_reference_and_lambda(self, weighting, box, partner, patch_size, height, width, dtype):
        images, references = batch(height=height, width=width, dtype=dtype)
        labels = torch.eye(5)
        transform = DSMix(num_classes=5, weighting=weighting, box=box, partner=partner, patch_size=patch_size)
        for seed in range(2):
            torch.manual_seed(seed)
            params = transform.make_params([images, Reference(references)])
            torch.manual_seed(seed)
            mixed, soft, mixed_references = transform(images, labels, Reference(references))

            masks = pixel_masks(params, 5, height, width)
            where = masks[:, None].expand_as(images)
            assert torch.equal(mixed, torch.where(where, images[params["partner"]], images))
            expected = torch.where(where, references[params["partner"]], references)
            assert torch.equal(mixed_references.as_subclass(torch.Tensor), expected)

            maps = sensitivity_map(images, references, patch_size).as_subclass(torch.Tensor)
            lam = brute_force_lambda(maps, masks, params["partner"], patch_size, weighting)
            torch.testing.assert_close(params["lam"], lam, rtol=1e-6, atol=1e-9)
            weight = lam.float()[:, None]
            torch.testing.assert_close(soft, weight * labels + (1 - weight) * labels[params["partner"]])

    @pytest.mark.parametrize("box", ["batch", "sample"])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
    def test_map_of_the_mixed_pair_is_the_mixed_map(self, box, dtype):
        images, references = batch(dtype=dtype)
        for seed in range(10):
            torch.manual_seed(seed)
            dsm = sensitivity_map(images, references)
            sample = (images, torch.eye(5), Reference(references), dsm)
            mixed, _, mixed_references, mixed_dsm = DSMix(num_classes=5, box=box)(*sample)
            expected = sensitivity_map(mixed, mixed_references.as_subclass(torch.Tensor))
            assert type(mixed_dsm) is SensitivityMap
            assert (mixed_dsm.patch_size, mixed_dsm.canvas_size) == (16, (50, 70))
            assert torch.equal(mixed_dsm.as_subclass(torch.Tensor), expected.as_subclass(torch.Tensor))


class TestBoxes:
    @settings(deadline=None, max_examples=60)
    @given(
        height=st.integers(1, 90),
        width=st.integers(1, 90),
        patch_size=st.integers(1, 40),
        alpha=st.sampled_from([0.2, 1.0, 5.0]),
        seed=st.integers(0, 2**31),
    )
    def test_edges_lie_on_the_patch_grid_or_the_border(self, height, width, patch_size, alpha, seed):
        transform = DSMix(weighting="area", box="sample", patch_size=patch_size, alpha=alpha)
        generator = torch.Generator().manual_seed(seed)
        params = transform.make_params([torch.zeros(6, 1, height, width)], generator=generator)
        for box, lam in zip(params["box"], params["lam"].tolist(), strict=True):
            x1, y1, x2, y2 = box
            assert 0 <= x1 <= x2 <= width
            assert 0 <= y1 <= y2 <= height
            assert all(x % patch_size == 0 or x == width for x in (x1, x2))
            assert all(y % patch_size == 0 or y == height for y in (y1, y2))
            assert lam == pytest.approx(1 - (x2 - x1) * (y2 - y1) / (height * width), abs=1e-12)
            if height <= patch_size and width <= patch_size:
                assert box == (0, 0, 0, 0)

    def test_boxes_are_cutmix_boxes_snapped(self):
        images = torch.zeros(2, 3, 64, 96)
        for seed in range(50):
            torch.manual_seed(seed)
            expected = [round(edge / 16) * 16 for edge in v2.CutMix(num_classes=2).make_params([images])["box"]]
            torch.manual_seed(seed)
            box = DSMix(num_classes=2, weighting="area").make_params([images])["box"]
            empty = expected[0] == expected[2] or expected[1] == expected[3]
            assert list(box) == ([0, 0, 0, 0] if empty else expected)

    def test_one_box_for_all_or_one_each(self):
        images = torch.zeros(8, 3, 64, 64)
        assert isinstance(DSMix(weighting="area").make_params([images])["box"], tuple)
        boxes = DSMix(weighting="area", box="sample").make_params([images])["box"]
        assert len(boxes) == 8
        assert len(set(boxes)) > 1

    def test_partners(self):
        images = torch.zeros(7, 3, 64, 64)
        assert DSMix(weighting="area").make_params([images])["partner"] == [6, 0, 1, 2, 3, 4, 5]
        drawn = [tuple(DSMix(weighting="area", partner="random").make_params([images])["partner"]) for _ in range(50)]
        assert all(sorted(partner) == list(range(7)) for partner in drawn)
        assert all(i != j for partner in drawn for i, j in enumerate(partner))
        assert len(set(drawn)) > 40
        for batch_size in (0, 1):
            lone = DSMix(weighting="area", partner="random").make_params([images[:batch_size]])
            assert lone["partner"] == list(range(batch_size))

    @pytest.mark.parametrize("box", ["batch", "sample"])
    def test_p(self, box):
        transform = DSMix(weighting="area", box=box, p=0.3, patch_size=1, alpha=5.0)
        images = torch.zeros(20, 1, 32, 32)
        boxes = []
        for _ in range(100):
            drawn = transform.make_params([images])["box"]
            boxes += [drawn] if box == "batch" else drawn
        share = sum(b != (0, 0, 0, 0) for b in boxes) / len(boxes)
        assert abs(share - 0.3) < 4 * (0.21 / len(boxes)) ** 0.5


class TestSourcesOfTheMap:
    """The same box every time; lambda tells which map was used."""

    def lam(self, transform, *sample):
        torch.manual_seed(0)
        soft = transform(*sample)[1]
        return soft.diagonal().tolist()

    def sample(self):
        images, references = batch(4, height=64, width=64)
        true = sensitivity_map(images, references)
        other = SensitivityMap(torch.rand(4, 4, 4), patch_size=16, canvas_size=(64, 64))
        return images, Reference(references), true, other

    def test_order(self):
        images, references, true, other = self.sample()
        third = torch.rand(4, 4, 4)
        labels = torch.eye(4)

        def estimator(x):
            return third

        from_reference = self.lam(DSMix(num_classes=4), images, labels, references)
        from_map = self.lam(DSMix(num_classes=4), images, labels, other)
        from_estimator = self.lam(DSMix(num_classes=4, estimator=estimator), images, labels)
        getter = DSMix(num_classes=4, estimator=estimator, map_getter=lambda sample: third)
        from_getter = self.lam(getter, images, labels, references, other)
        assert from_reference == pytest.approx(self.lam(DSMix(num_classes=4), images, labels, true))
        assert self.lam(DSMix(num_classes=4, estimator=estimator), images, labels, references, other) == from_map
        assert self.lam(DSMix(num_classes=4, estimator=estimator), images, labels, references) == from_reference
        assert from_getter == pytest.approx(from_estimator)
        assert len({tuple(lam) for lam in (from_reference, from_map, from_estimator)}) == 3

    def test_plain_field_is_mixed_with_the_images(self):
        images, _, true, _ = self.sample()
        sample = {"image": images, "label": torch.arange(4), "dsm": true.as_subclass(torch.Tensor)}
        transform = DSMix(num_classes=4, map_getter=lambda sample: sample["dsm"])
        torch.manual_seed(0)
        mixed = transform(sample)
        torch.manual_seed(0)
        expected = DSMix(num_classes=4)(images, torch.arange(4), true)
        assert torch.equal(mixed["dsm"], expected[2].as_subclass(torch.Tensor))
        torch.testing.assert_close(mixed["label"], expected[1])

    def test_map_from_outside_the_sample(self):
        images, _, true, _ = self.sample()
        transform = DSMix(num_classes=4, map_getter=lambda sample: true.as_subclass(torch.Tensor).clone())
        assert self.lam(transform, images, torch.eye(4)) == self.lam(DSMix(num_classes=4), images, torch.eye(4), true)

    def test_estimator_module_is_run_without_gradient_in_eval_mode(self):
        seen = {}

        class Estimator(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.pool = torch.nn.AvgPool2d(16)
                self.frozen = torch.nn.BatchNorm2d(3).eval()

            def forward(self, x):
                seen.update(grad=torch.is_grad_enabled(), training=self.training, dtype=x.dtype, high=x.max())
                return self.pool(x).mean(1)

        estimator = Estimator().train()
        estimator.frozen.eval()
        images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
        DSMix(num_classes=4, estimator=estimator)(images, torch.arange(4))
        assert seen["grad"] is False
        assert seen["training"] is False
        assert seen["dtype"] == torch.float32
        assert seen["high"] <= 1
        assert estimator.training
        assert not estimator.frozen.training

    def test_uint8_reference_of_float_images_is_scaled(self):
        references = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
        images = (references / 255 * torch.tensor([1, 0.9, 0.5, 0.2]).view(-1, 1, 1, 1)).clamp(0, 1)
        lam = self.lam(DSMix(num_classes=4), images, torch.eye(4), Reference(references))
        assert lam == pytest.approx(self.lam(DSMix(num_classes=4), images, torch.eye(4), Reference(references / 255)))

    def test_normalised_images_with_a_reference_are_refused(self):
        images, references, _, _ = self.sample()
        state = torch.get_rng_state()
        with pytest.raises(ValueError, match=r"should lie in \[0, 1\].*Normalize"):
            DSMix(num_classes=4)(v2.functional.normalize(images, [0.5] * 3, [0.2] * 3), torch.eye(4), references)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("dsm", "message"),
        [
            (torch.ones(4, 3, 4), r"map of shape \(4, 4, 4\)"),
            (torch.full((4, 4, 4), -1.0), "finite and not negative"),
            (torch.full((4, 4, 4), float("nan")), "finite and not negative"),
            (torch.full((4, 4, 4), float("inf")), "finite and not negative"),
        ],
    )
    def test_wrong_maps(self, dsm, message):
        images = self.sample()[0]
        state = torch.get_rng_state()
        with pytest.raises(ValueError, match=message):
            DSMix(num_classes=4, map_getter=lambda sample: dsm)(images, torch.eye(4))
        assert torch.equal(torch.get_rng_state(), state)

    def test_map_of_other_patches(self):
        images, references, _, _ = self.sample()
        dsm = sensitivity_map(images, references.as_subclass(torch.Tensor), patch_size=8)
        with pytest.raises(ValueError, match="expected patch_size=16"):
            DSMix(num_classes=4)(images, torch.eye(4), dsm)


MAPS = st.integers(1, 6).flatmap(lambda h: st.tuples(st.just(h), st.integers(1, 6)))


def drawn_core(seed, grid, batch_size=4):
    """Random maps and a random box in patches; sizes in px leave the last patches partial."""
    generator = torch.Generator().manual_seed(seed)
    patch_size = 8
    size = tuple(n * patch_size - int(torch.randint(0, patch_size, (), generator=generator)) for n in grid)
    maps = torch.rand(batch_size, *grid, generator=generator, dtype=torch.float64)
    boxes = []
    for _ in range(batch_size):
        edges = [sorted(torch.randint(0, n + 1, (2,), generator=generator).tolist()) for n in reversed(grid)]
        (x1, x2), (y1, y2) = [
            [min(e * patch_size, side) for e in pair] for pair, side in zip(edges, reversed(size), strict=True)
        ]
        boxes.append((x1, y1, x2, y2))
    partner = torch.arange(batch_size).roll(1)
    return maps, torch.tensor(boxes), partner, size, patch_size


def core_lambda(maps, boxes, partner, size, patch_size, weighting):
    images, labels = torch.zeros(len(maps), 1, *size), torch.zeros(len(maps), 1)
    return functional.dsmix(images, labels, maps, boxes, partner, patch_size=patch_size, weighting=weighting)[2]


def area_lambda(boxes, size):
    x1, y1, x2, y2 = boxes.double().unbind(1)
    return 1 - (x2 - x1) * (y2 - y1) / (size[0] * size[1])


class TestProperties:
    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 2**31), grid=MAPS, weighting=st.sampled_from(WEIGHTINGS))
    def test_constant_map_gives_the_area(self, seed, grid, weighting):
        maps, boxes, partner, size, patch_size = drawn_core(seed, grid)
        lam = core_lambda(torch.full_like(maps, 0.3), boxes, partner, size, patch_size, weighting)
        torch.testing.assert_close(lam, area_lambda(boxes, size))

    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 2**31), grid=MAPS, weighting=st.sampled_from(WEIGHTINGS), scale=st.floats(1e-3, 1e3))
    def test_scaling_all_maps_changes_nothing(self, seed, grid, weighting, scale):
        maps, *rest = drawn_core(seed, grid)
        lam = core_lambda(maps, *rest, weighting)
        torch.testing.assert_close(core_lambda(maps * scale, *rest, weighting), lam)

    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 2**31), grid=MAPS, weighting=st.sampled_from(WEIGHTINGS))
    def test_swapping_images_and_complementing_the_mask(self, seed, grid, weighting):
        maps, boxes, partner, size, patch_size = drawn_core(seed, grid)
        pasted = pixels_per_patch(boxes, size, patch_size)
        whole = pixels_per_patch(torch.tensor([[0, 0, size[1], size[0]]]), size, patch_size)
        lam = functional.mixing_weight(maps, maps[partner], pasted, whole - pasted, weighting)
        swapped = functional.mixing_weight(maps[partner], maps, whole - pasted, pasted, weighting)
        torch.testing.assert_close(lam + swapped, torch.ones_like(lam))

    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 2**31), grid=MAPS, weighting=st.sampled_from(WEIGHTINGS))
    def test_core_equals_the_pixel_loop(self, seed, grid, weighting):
        maps, boxes, partner, size, patch_size = drawn_core(seed, grid)
        masks = pixel_masks({"box": [tuple(box) for box in boxes.tolist()]}, len(maps), *size)
        expected = brute_force_lambda(maps, masks, partner.tolist(), patch_size, weighting)
        torch.testing.assert_close(core_lambda(maps, boxes, partner, size, patch_size, weighting), expected)

    def test_pristine_partner_has_no_weight_under_mass(self):
        images, references = batch(4, height=64, width=64)
        images[1] = references[1]
        for seed in range(10):
            torch.manual_seed(seed)
            soft = DSMix(num_classes=4)(images, torch.arange(4), Reference(references))[1]
            assert soft[2, 1] == 0  # sample 2 gets its box from the pristine sample 1
            assert soft[2, 2] == 1

    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize("box", ["batch", "sample"])
    def test_pristine_batch_falls_back_to_the_area(self, weighting, box):
        references = torch.rand(4, 3, 50, 70)
        transform = DSMix(num_classes=4, weighting=weighting, box=box)
        params = transform.make_params([references.clone(), Reference(references)])
        boxes = torch.tensor([params["box"]] * 4 if box == "batch" else params["box"])
        torch.testing.assert_close(params["lam"], area_lambda(boxes, (50, 70)))


class TestReplay:
    @pytest.mark.parametrize("box", ["batch", "sample"])
    def test_params_replay_bitwise(self, box):
        images, references = batch()
        transform = DSMix(num_classes=5, box=box, partner="random")
        params = transform.make_params([images, Reference(references)])
        first = transform.transform(images, params)
        assert torch.equal(first, transform.transform(images, copy.deepcopy(params)))
        assert not torch.equal(first, images)

    def test_params_are_readable(self):
        images, references = batch()
        params = DSMix(num_classes=5).make_params([images, Reference(references)])
        assert len(params["box"]) == 4
        assert params["partner"] == [4, 0, 1, 2, 3]
        assert params["lam"].shape == (5,)
        assert ((params["lam"] >= 0) & (params["lam"] <= 1)).all()


class TestDevices:
    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize("box", ["batch", "sample"])
    @pytest.mark.parametrize("partner", ["roll", "random"])
    @pytest.mark.fake_cuda
    def test_no_host_round_trip_on_cuda(self, weighting, box, partner):
        """Drawn on the host, everything else under fake CUDA tensors, which raise if a value is read.

        Fake tensors cannot carry a TVTensor class, so maps and references come as plain ones.
        """
        transform = DSMix(num_classes=5, weighting=weighting, box=box, partner=partner)
        drawn = DSMix(weighting="area", box=box, partner=partner).make_params([torch.zeros(4, 3, 50, 70)])
        boxes = [drawn["box"]] if box == "batch" else drawn["box"]
        with FakeTensorMode():
            images, references = torch.empty(2, 4, 3, 50, 70, device="cuda").unbind(0)
            labels = torch.empty(4, dtype=torch.int64, device="cuda")
            dsm = functional.mean_patch_error(images, references, 16)
            lam = transform._weigh(images, dsm, boxes, drawn["partner"])
            params = {**drawn, "lam": lam, "labels": labels, "map": dsm}
            mixed = [transform.transform(leaf, params) for leaf in (images, labels, dsm)]
        assert [tuple(leaf.shape) for leaf in mixed] == [(4, 3, 50, 70), (4, 5), (4, 4, 5)]
        assert {leaf.device.type for leaf in mixed} == {"cuda"}

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize("box", ["batch", "sample"])
    def test_no_sync_on_cuda(self, weighting, box):
        images, references = (x.cuda() for x in batch())
        labels = torch.arange(5, device="cuda")
        transform = DSMix(num_classes=5, weighting=weighting, box=box)
        transform(images, labels, Reference(references))
        torch.cuda.set_sync_debug_mode("error")
        try:
            transform(images, labels, Reference(references))
        finally:
            torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    def test_cuda_equals_cpu(self):
        images, references = batch()
        results = []
        for device in ("cpu", "cuda"):
            torch.manual_seed(0)
            sample = (images.to(device), torch.arange(5, device=device), Reference(references.to(device)))
            results.append(DSMix(num_classes=5, box="sample")(*sample))
        for on_cpu, on_cuda in zip(*results, strict=True):
            torch.testing.assert_close(on_cuda.cpu(), on_cpu)

    @pytest.mark.parametrize("label", [-1, 5])
    def test_invalid_class_gives_a_row_of_nan_where_values_are_not_checked(self, label):
        labels = torch.tensor([0, label, 2])
        drawn = {"box": (0, 0, 16, 16), "partner": [2, 0, 1], "lam": torch.ones(3, dtype=torch.float64)}
        soft = DSMix(num_classes=5).transform(labels, {"labels": labels, **drawn})
        assert soft[1].isnan().all()

    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    @pytest.mark.parametrize("box", ["batch", "sample"])
    @pytest.mark.parametrize("partner", ["roll", "random"])
    def test_host_and_device_paths_agree(self, weighting, box, partner):
        """With a gradient to record, CPU tensors take the path of the other devices."""
        images, references = batch()
        results = []
        for requires_grad in (False, True):
            torch.manual_seed(0)
            transform = DSMix(num_classes=5, weighting=weighting, box=box, partner=partner)
            sample = (images.clone().requires_grad_(requires_grad), torch.eye(5), Reference(references))
            results.append(transform(*sample))
        assert torch.equal(results[0][0], results[1][0])
        torch.testing.assert_close(results[0][1], results[1][1])

    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    def test_core_compiles_to_one_graph(self, weighting):
        images, references = batch(4)
        maps = sensitivity_map(images, references).as_subclass(torch.Tensor)
        boxes, partner = torch.tensor([[16, 0, 48, 32]]), torch.tensor([3, 0, 1, 2])
        compiled = torch.compile(functional.dsmix, fullgraph=True, backend="eager")
        expected = functional.dsmix(images, torch.eye(4), maps, boxes, partner, weighting=weighting)
        result = compiled(images, torch.eye(4), maps, boxes, partner, weighting=weighting)
        for x, y in zip(result, expected, strict=True):
            torch.testing.assert_close(x, y)


def test_references_of_images_that_are_tv_tensors():
    images, references = batch()
    dsmix = DSMix(num_classes=5)
    torch.manual_seed(0)
    expected = dsmix(images, torch.arange(5), Reference(references))
    torch.manual_seed(0)
    mixed = dsmix({"x": tv_tensors.Image(images), "labels": torch.arange(5), "ref": Reference(references)})
    assert torch.equal(mixed["x"].as_subclass(torch.Tensor), expected[0])
    assert torch.equal(mixed["labels"], expected[1])
