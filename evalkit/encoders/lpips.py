"""The LPIPS backends: perceptual distance through its authors' package, on torchvision's networks.

The package carries the trained heads; the weights of the networks below them come from torchvision's server, or from
a file that the user has.
"""

from evalkit.encoders.base import DType, LoadedEncoder
from evalkit.errors import import_extra

LIBRARIES = ("torch", "torchvision", "lpips")


def load_alex(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """LPIPS on AlexNet, torchvision's weights or <file>."""
    return _load("alex", argument, device, dtype)


def load_vgg(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """LPIPS on VGG-16, torchvision's weights or <file>."""
    return _load("vgg", argument, device, dtype)


def load_squeeze(argument: str, *, device: str, dtype: DType) -> LoadedEncoder:
    """LPIPS on SqueezeNet 1.1, torchvision's weights or <file>."""
    return _load("squeeze", argument, device, dtype)


def _load(net: str, argument: str, device: str, dtype: DType) -> LoadedEncoder:
    import_extra("lpips", "lpips")
    from evalkit.encoders.lpips_network import LpipsEncoder, find_backbone, read_network
    from evalkit.encoders.network import resolve_device

    target = resolve_device(device)
    path = find_backbone(net, argument)
    encoder = LpipsEncoder(net, read_network(net, path), name=f"lpips/{net}/{path.name}", dtype=dtype, device=target)
    return LoadedEncoder(encoder=encoder, files=(path,), libraries=LIBRARIES)
