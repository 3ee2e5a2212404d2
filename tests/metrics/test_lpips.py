"""LPIPS at random weights below its trained heads: against the package itself, and where those weights come from."""

import hashlib
import http.server
import pickle
import sys
import threading
import warnings
from functools import partial

import numpy as np
import pytest
import torch

from evalkit.encoders import lpips_network
from evalkit.encoders.load import open_encoder
from evalkit.errors import MissingExtraError, WeightsError
from evalkit.images.pairs import ImagePair
from evalkit.metrics.base import METRICS
from evalkit.metrics.lpips import LARGEST, UNRELATED
from tests.support.surfaces import picture

NETS = ("alex", "vgg", "squeeze")
FILES = {"alex": "alexnet-owt-", "vgg": "vgg16-", "squeeze": "squeezenet1_1-"}
SIDE = 64


@pytest.fixture(scope="session")
def encoders(backbones):
    """Our encoder of each network."""
    return {net: open_encoder(f"lpips_{net}:{backbones[net][0]}", device="cpu") for net in NETS}


@pytest.fixture(scope="session")
def package(backbones):
    """The package's own network, its layers filled one after the other."""
    import lpips

    networks = {}
    for net in NETS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            networks[net] = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        ours, theirs = backbones[net][1].parameters(), networks[net].net.parameters()
        for source, target in zip(ours, theirs, strict=True):
            target.data.copy_(source)
    return networks


def pair(seed=0, height=SIDE, width=SIDE + 8, *, masked=False):
    """Two different pictures, and perhaps a background."""
    background = None
    if masked:
        background = np.ones((height, width), dtype=bool)
        background[10:45, 20:50] = False
    return ImagePair(
        edited=picture(seed, height, width), source=picture(seed + 1, height, width), background=background
    )


def distance(network, edited, source):
    """What the package says of two pictures of 0 to 255."""
    one, other = (torch.tensor(image / 255).permute(2, 0, 1)[None].float() for image in (edited, source))
    with torch.inference_mode():
        return float(network(one, other, normalize=True))


@pytest.mark.parametrize("net", NETS)
def test_distances_are_those_of_the_package(encoders, package, net):
    """With the same weights below the same heads the values agree to 1e-6, alone and in a batch of two sizes."""
    pairs = [pair(0), pair(3), pair(5, 48, 40)]
    ours = encoders[net].encode_pairs(pairs)
    expected = [distance(package[net], one.edited, one.source) for one in pairs]
    np.testing.assert_allclose(ours[:, 0], expected, atol=1e-6)
    alone = np.concatenate([encoders[net].encode_pairs([one]) for one in pairs])
    np.testing.assert_allclose(ours, alone, atol=1e-6)
    assert min(expected) > 0.01


def background_distance(network, edited, source, background):
    """The mean over background cells, layer by layer, written out with loops over the cells."""
    import lpips

    kept = background[..., None]
    one, other = (
        network.scaling_layer(2 * torch.tensor(image * kept / 255).permute(2, 0, 1)[None].float() - 1)
        for image in (edited, source)
    )
    total = 0.0
    with torch.inference_mode():
        layers = zip(network.net(one), network.net(other), network.lins, strict=True)
        for before, after, head in layers:
            values = head((lpips.normalize_tensor(before) - lpips.normalize_tensor(after)) ** 2)[0, 0].numpy()
            weights = np.zeros(values.shape)
            height, width = background.shape
            for i in range(values.shape[0]):
                for j in range(values.shape[1]):
                    rows = slice(i * height // values.shape[0], -(-(i + 1) * height // values.shape[0]))
                    columns = slice(j * width // values.shape[1], -(-(j + 1) * width // values.shape[1]))
                    weights[i, j] = background[rows, columns].mean()
            total += float((values * weights).sum() / weights.sum())
    return total


@pytest.mark.parametrize("net", NETS)
def test_the_background_counts_by_its_share_of_each_cell(encoders, package, net):
    """With a mask: our mean over the background, PIE-Bench's distance of blackened images, and the pixels of both."""
    one = pair(0, masked=True)
    kept = one.background[..., None]
    ours = encoders[net].encode_pairs([one])[0]
    expected = [
        background_distance(package[net], one.edited, one.source, one.background),
        distance(package[net], one.edited * kept, one.source * kept),
        one.background.sum(),
        (~one.background).sum(),
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_a_background_of_everything_is_the_whole_image(encoders):
    """Where nothing is masked the two forms and the plain distance are one number."""
    one = pair()
    everything = ImagePair(edited=one.edited, source=one.source, background=np.ones(one.source.shape[:2], dtype=bool))
    masked, plain = encoders["alex"].encode_pairs([everything])[0], encoders["alex"].encode_pairs([one])[0]
    np.testing.assert_allclose(masked[:2], [plain[0]] * 2, rtol=1e-6)


@pytest.mark.parametrize("net", NETS)
def test_range_and_identity(encoders, net):
    """A picture is at distance 0 from itself, either way round is as far, and channels and range matter."""
    one = pair()
    same = ImagePair(edited=one.source, source=one.source)
    exchanged = ImagePair(edited=one.source, source=one.edited)
    blue = ImagePair(edited=one.edited[..., ::-1].copy(), source=one.source)
    dark = ImagePair(edited=one.edited // 2, source=one.source // 2)
    values = encoders[net].encode_pairs([one, same, exchanged, blue, dark])[:, 0]
    assert values[1] == 0
    assert values[2] == pytest.approx(values[0], abs=1e-6)
    assert abs(values[3] - values[0]) > 1e-4
    assert abs(values[4] - values[0]) > 1e-4


@pytest.mark.parametrize("net", NETS)
def test_too_small_images_have_no_distance(encoders, package, net):
    """Below the stated side the package fails; there the value is absent, and from it on it is there."""
    smallest = lpips_network.SMALLEST[net]
    small, enough = pair(0, smallest - 1, 80), pair(0, smallest, 80)
    found = encoders[net].encode_pairs([small, enough])
    assert np.isnan(found[0]).all()
    assert found[1, 0] == pytest.approx(distance(package[net], enough.edited, enough.source), abs=1e-6)
    metric = METRICS.get("lpips" if net == "alex" else f"lpips:{net}")
    assert metric.compute({"distance": found}, resolution=0.0).reasons == ("too_small", None)
    with pytest.raises(RuntimeError):
        distance(package[net], small.edited, small.source)


@pytest.mark.parametrize("net", NETS)
def test_the_stated_range_is_the_one_that_the_heads_allow(package, net):
    """Two unit vectors without negative entries differ at most by the two largest weights of a layer's head."""
    weights = [head.model[-1].weight.detach().flatten() for head in package[net].lins]
    assert all((weight >= 0).all() for weight in weights)
    bound = sum(float(weight.topk(2).values.sum()) for weight in weights)
    assert LARGEST[net] - 0.01 < bound <= LARGEST[net]
    # At a right angle and spread evenly: each channel's square is 1/C in both vectors.
    nothing_in_common = sum(2 * float(weight.mean()) for weight in weights)
    assert UNRELATED[net] == pytest.approx(nothing_in_common, abs=0.005)


def test_masks_of_nothing_and_of_everything_are_undefined(encoders):
    """As for the metrics of pixels, with the same reasons."""
    one = pair()
    shape = one.source.shape[:2]
    masks = (np.zeros(shape, dtype=bool), np.ones(shape, dtype=bool))
    pairs = [ImagePair(edited=one.edited, source=one.source, background=mask) for mask in masks]
    numbers = encoders["squeeze"].encode_pairs(pairs)
    for name in ("lpips_background", "lpips_background:pie_bench"):
        reasons = METRICS.get(name).compute({"distance": numbers}, resolution=0.0).reasons
        assert reasons == ("no_background", "empty_edit_mask")


def test_weights_are_identified_by_their_bytes(backbones, tmp_path):
    """Other weights below the heads are another encoder; a copy under another name has the same digest."""
    path = backbones["squeeze"][0]
    state = torch.load(path, weights_only=True)
    torch.save(state, tmp_path / "copy.pth")
    state["features.0.weight"] = state["features.0.weight"] + 1e-3
    torch.save(state, tmp_path / "other.pth")
    specs = [
        open_encoder(f"lpips_squeeze:{p}", device="cpu").spec
        for p in (path, tmp_path / "copy.pth", tmp_path / "other.pth")
    ]
    assert specs[0].weights_sha256 == specs[1].weights_sha256 != specs[2].weights_sha256
    assert specs[0].label.startswith(f"lpips/squeeze/{path.name}@")


@pytest.fixture
def server(tmp_path):
    """A file server on loopback, its folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_weights_are_downloaded_once_and_verified(backbones, server, tmp_path, monkeypatch):
    """They land where torchvision keeps its own, and bytes that do not fit the name's digest are refused."""
    folder, address = server
    data = backbones["squeeze"][0].read_bytes()
    name = f"squeezenet1_1-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(data)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(lpips_network, "backbone_url", lambda _net: f"{address}/{name}")
    first = open_encoder("lpips_squeeze", device="cpu").spec
    assert (tmp_path / "torch" / "hub" / "checkpoints" / name).read_bytes() == data
    (folder / name).unlink()
    assert open_encoder("lpips_squeeze", device="cpu").spec == first
    (folder / "squeezenet1_1-00000000.pth").write_bytes(data)
    monkeypatch.setattr(lpips_network, "backbone_url", lambda _net: f"{address}/squeezenet1_1-00000000.pth")
    with pytest.raises(WeightsError, match="invalid hash value"):
        _ = open_encoder("lpips_squeeze", device="cpu").spec


def test_weights_that_cannot_be_downloaded_name_both_ways_out(server, tmp_path, monkeypatch):
    """The message has the address, the option for a copy, and the place where a copy is found; nothing falls back."""
    _, address = server
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(lpips_network, "backbone_url", lambda _net: f"{address}/alexnet-owt-7be5be79.pth")
    with pytest.raises(WeightsError) as failure:
        _ = open_encoder("lpips_alex", device="cpu").spec
    words = ("LPIPS on alex", f"{address}/alexnet-owt-7be5be79.pth", "404", "--encoder lpips_alex:<file>")
    assert all(word in str(failure.value) for word in words)
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth") in str(failure.value)
    assert list(tmp_path.glob("torch/hub/checkpoints/*.pth")) == []


def test_the_addresses_are_those_of_torchvision():
    """Each network's ImageNet weights as torchvision publishes them."""
    for net in NETS:
        assert lpips_network.backbone_url(net).startswith(f"https://download.pytorch.org/models/{FILES[net]}")


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        """What the unpickler would call."""
        return (print, ("harm",))


def test_files_that_do_not_hold_the_weights_are_refused(backbones, tmp_path, capsys):
    """Absent, of another network, or made to run code: one sentence with the option that would work."""
    harmful = tmp_path / "harmful.pth"
    harmful.write_bytes(pickle.dumps(Harmful()))
    cases = {
        tmp_path / "absent.pth": "there is no .*squeezenet1_1-b8a52dc0.pth",
        harmful: "harmful.pth is not read: it is damaged, or holds more than tensors",
        backbones["alex"][0]: "tensors are missing or of another shape.*--encoder lpips_squeeze:<file>",
    }
    for path, words in cases.items():
        with pytest.raises(WeightsError, match=words):
            _ = open_encoder(f"lpips_squeeze:{path}", device="cpu").spec
    assert "harm" not in capsys.readouterr().out


def test_without_its_package_one_sentence_names_the_extra(monkeypatch):
    """LPIPS is an extra: who lacks it is told what to install before anything is fetched."""
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingExtraError, match=r"lpips is not installed.*pip install 'evalkit-editing\[lpips\]'"):
        _ = open_encoder("lpips_alex", device="cpu").spec
