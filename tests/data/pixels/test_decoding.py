from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_lab.data.pixels.decoding import attempt, decode, look
from fer_lab.data.pixels.hashing import hash_faces
from fer_lab.data.pixels.images import FileImages
from fer_lab.data.pixels.packed import pack
from fer_lab.data.pixels.verification import verify
from fer_lab.errors import DataError
from tests.data.pixels.test_images import file_manifest

FORMATS = {
    "a.jpg": {"quality": 100, "subsampling": 0},
    "a.png": {},
    "a.tiff": {},
    "a.webp": {"lossless": True},
}
# How an image as stored becomes the image as shown (EXIF 2.32, tag 0x0112: where row 0 and
# column 0 are seen).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def stored_pixels() -> np.ndarray:
    """Flat blocks of 8 pixels, all of other colours: a JPEG keeps them."""
    blocks = np.random.default_rng(0).integers(0, 255, (5, 9, 3), dtype=np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def turned_file(folder: Path, name: str, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored_pixels()).save(folder / name, exif=exif, **FORMATS[name])
    return folder / name


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_way_to_a_face_turns_its_file_upright(
    tmp_path: Path, name: str, orientation: int
) -> None:
    path = turned_file(tmp_path, name, orientation)
    shown = UPRIGHT[orientation](stored_pixels())
    height, width = shown.shape[:2]
    assert np.abs(decode(str(path)).astype(int) - shown).max() <= 3
    assert look(str(path)) == attempt(str(path))[1] == (width, height, "")

    # A box at the far corner of the upright image; widened, it covers 26 pixels each way.
    box = [width - 26 + 3, height - 26 + 3, 20, 20]
    manifest = file_manifest([path, path], [box, [width + 3, 0, 9, 9]])
    corner = shown[height - 26 :, width - 26 :]
    from_file = FileImages(manifest, 26).read(np.array([0])).image[0]
    packed = pack(manifest, 26, tmp_path / "cache")
    assert np.abs(from_file.astype(int) - corner).max() <= 3
    assert np.array_equal(packed.read(np.array([0])).image[0], from_file)
    assert packed.findings is not None
    assert packed.findings[0].tolist() == [width, height, 0, -1]
    assert verify(manifest, tmp_path / "cache")[0].tolist() == [True, False]

    plain = tmp_path / "plain.png"
    Image.fromarray(shown).save(plain)
    _, hashes, _ = hash_faces(file_manifest([path, plain], [box, box]), tmp_path / "cache")
    different = np.bitwise_count(hashes[0] ^ hashes[1]).sum()
    assert different <= 4


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("grey.png", "L", (204, 204, 204)),
        ("grey.tiff", "L", (204, 204, 204)),
        ("alpha.png", "RGBA", (255, 204, 102)),
        ("grey_alpha.png", "LA", (204, 204, 204)),
        ("palette.png", "P", (255, 204, 102)),
        ("photo.jpg", "RGB", (255, 204, 102)),
        ("print.jpg", "CMYK", (255, 204, 102)),
        ("photo.webp", "RGB", (255, 204, 102)),
        ("photo.bmp", "RGB", (255, 204, 102)),
        ("photo.ppm", "RGB", (255, 204, 102)),
    ],
)
def test_every_kind_of_image_gives_three_channels(
    tmp_path: Path, name: str, mode: str, expected: tuple[int, int, int]
) -> None:
    image = Image.new("RGB", (12, 10), (255, 204, 102))
    if mode in ("L", "LA"):
        image = Image.new("L", (12, 10), 204)
    image.convert(mode).save(tmp_path / name)
    decoded = decode(str(tmp_path / name))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (10, 12, 3)
    assert np.abs(decoded.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("name", ["deep.png", "deep.tiff"])
def test_of_16_bits_the_upper_8_are_kept(tmp_path: Path, name: str) -> None:
    deep = np.array([[0, 255, 256], [0x1234, 0xFFFF, 0x8000]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    expected = [[0, 0, 1], [0x12, 0xFF, 0x80]]
    assert decode(str(tmp_path / name))[:, :, 1].tolist() == expected
    assert decode(str(tmp_path / name))[:, :, 2].tolist() == expected


def test_other_depths_are_set_aside(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "a.tiff")
    assert look(str(tmp_path / "a.tiff")).reason == "neither 8 nor 16 bits a channel"
    with pytest.raises(DataError, match="neither 8 nor 16 bits"):
        decode(str(tmp_path / "a.tiff"))


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + crc + b"\0\0\0\x09IDAT"


def jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes([1, 17, 0, 2, 17, 0, 3, 17, 0])
    scan = struct.pack(">HB", 12, 3) + bytes([1, 0, 2, 0, 3, 0, 0, 63, 0])
    return b"\xff\xd8\xff\xc0" + frame + b"\xff\xda" + scan


def webp(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    chunk = b"\x2f" + struct.pack("<I", bits) + bytes(11)
    body = b"WEBPVP8L" + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def tiff(width: int, height: int) -> bytes:
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 9, 339: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)


def ppm(width: int, height: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("header", [png, jpeg, webp, bmp, tiff, ppm])
@pytest.mark.parametrize("side", [(8_000, 10_001), (12_000, 12_000), (16_000, 16_000)])
def test_the_header_tells_what_is_too_large_to_be_decoded(
    tmp_path: Path, header: Callable[[int, int], bytes], side: tuple[int, int]
) -> None:
    # There are no pixels: whoever goes on to them finds a damaged file, as in the small one.
    path = tmp_path / "bomb"
    path.write_bytes(header(*side))
    assert look(str(path)).reason == "more than 80 megapixels"
    path.write_bytes(header(80, 100))
    assert look(str(path)).reason in ("truncated image", "damaged image")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"not an image", "not an image"),
        (b"GIF89a" + bytes(40), "not an image"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert attempt(str(path)) == (None, look(str(path)))
    with pytest.raises(DataError, match=f"cannot be used: {reason}") as caught:
        decode(str(path))
    assert str(path) in str(caught.value)


def test_paths_that_lead_to_no_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    for path in (tmp_path / "gone.jpg", loop, tmp_path / ("a" * 300)):
        assert look(str(path)) == (0, 0, "file missing")
    assert look(str(tmp_path)) == (0, 0, "file cannot be opened")


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_short_gives_no_pixels(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / name
    Image.fromarray(noise).save(path, **FORMATS[name])
    content = path.read_bytes()
    for share in (0.2, 0.5, 0.95):
        path.write_bytes(content[: int(share * len(content))])
        image, found = attempt(str(path))
        assert image is None
        assert found.reason in ("truncated image", "damaged image", "not an image")
        assert look(str(path)) == found
