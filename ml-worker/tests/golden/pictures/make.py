"""Makes the pictures beside it and expected.json: what each reads as, by Pillow, pydicom and numpy, and what resampling
gives by other ways than the reader's (areas by repeating pixels and averaging blocks; between pixels by np.interp).

    pip install numpy pillow pydicom pylibjpeg pylibjpeg-openjpeg pylibjpeg-libjpeg imagecodecs
"""
import io, json, pathlib, re, struct
import imagecodecs, numpy as np, PIL, pydicom
from encoders import blocks, lossless_jpeg, png, segment
from openjpeg.utils import encode_array
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_rescale, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian,
                         JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, RLELossless)
from resampling import areas, between

HERE = pathlib.Path(__file__).parent
W, H = 9, 7
rng = np.random.default_rng(5)
pictures, images = [], []


def short(pixels, tolerance):
    """The first pixels as 32-bit numbers, with no more digits than those take, or than matter."""
    return [round(float(str(p)), 5 if tolerance > 1e-3 else 20) for p in np.float32(pixels).ravel()[:189]]


# ---- PNG and JPEG

def expect(name, pixels, tolerance=0.0):
    pictures.append(dict(file=name, width=pixels.shape[1], height=pixels.shape[0], tolerance=tolerance,
                         pixels=short(pixels, tolerance)))


def luma(rgb):
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


grey8 = rng.integers(0, 256, (H, W), dtype=np.uint8)
grey8[0, :2] = 0, 255
Image.fromarray(grey8).save(HERE / "grey8.png")
expect("grey8.png", grey8 / 255)
Image.fromarray(grey8).save(HERE / "grey8.jpg", format="png")  # the name lies
expect("grey8.jpg", grey8 / 255)

grey16 = rng.integers(0, 65536, (H, W), dtype=np.uint16)
grey16[0, :2] = 0, 65535
Image.fromarray(grey16).save(HERE / "grey16.png")
assert (np.asarray(Image.open(HERE / "grey16.png")) == grey16).all()
expect("grey16.png", grey16 / 65535)

rgb = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
rgb[0, 0], rgb[0, 1], rgb[0, 2] = 255, 0, (77, 77, 77)
Image.fromarray(rgb).save(HERE / "rgb.png")
expect("rgb.png", luma(rgb) / 255, 1e-7)

rgb16 = rng.integers(0, 65536, (H, W, 3), dtype=np.uint16)
png(HERE / "rgb16.png", W, H, 16, 2, [r.astype(">u2").tobytes() for r in rgb16])
expect("rgb16.png", luma(rgb16) / 65535, 1e-7)

alpha = rng.integers(0, 256, (H, W), dtype=np.uint8)
Image.fromarray(np.dstack([grey8, alpha]), "LA").save(HERE / "alpha.png")
expect("alpha.png", grey8 / 255)
Image.fromarray(np.dstack([rgb, alpha]), "RGBA").save(HERE / "rgba.png")
expect("rgba.png", luma(rgb) / 255, 1e-7)

indices = rng.integers(0, 5, (H, W), dtype=np.uint8)
colours = rng.integers(0, 256, (5, 3), dtype=np.uint8)
palette = Image.fromarray(indices, "P")
palette.putpalette(colours.ravel().tolist())
palette.save(HERE / "palette.png")
expect("palette.png", luma(np.asarray(Image.open(HERE / "palette.png").convert("RGB"))) / 255, 1e-7)

bits = rng.integers(0, 2, (H, W)).astype(bool)
Image.fromarray(bits).save(HERE / "bits.png")
expect("bits.png", bits * 1.0)

y, x = np.mgrid[0:15, 0:19]
smooth = np.uint8(127 + 90 * np.sin(x / 6) * np.cos(y / 5))
Image.fromarray(smooth).save(HERE / "grey.jpg", quality=90)
expect("grey.jpg", np.asarray(Image.open(HERE / "grey.jpg")) / 255, 2 / 255)
tinted = np.dstack([smooth, 255 - smooth, np.uint8(x * 8)])
Image.fromarray(tinted).save(HERE / "rgb.jpg", quality=90, subsampling=0)
expect("rgb.jpg", luma(np.asarray(Image.open(HERE / "rgb.jpg"))) / 255, 3 / 255)
Image.fromarray(smooth).save(HERE / "progressive.jpg", quality=90, progressive=True)
expect("progressive.jpg", np.asarray(Image.open(HERE / "progressive.jpg")) / 255, 2 / 255)
Image.fromarray(tinted).convert("CMYK").save(HERE / "cmyk.jpg")

whole = (HERE / "rgb.png").read_bytes()
(HERE / "truncated.png").write_bytes(whole[:len(whole) - 60])
whole = (HERE / "grey.jpg").read_bytes()
(HERE / "truncated.jpg").write_bytes(whole[:len(whole) - 60])
(HERE / "text.png").write_text("name;age\nDoe;42\n")
png(HERE / "huge.png", 60000, 60000, 8, 0, [b"\0"] * 3)
png(HERE / "wide.png", 16385, 1, 8, 0, [bytes(16385)])
png(HERE / "large.png", 8192, 8192, 8, 0, [b"\0"] * 3)


# ---- resampling

source = rng.random((5, 7)).astype(np.float32)
resized = []
for width, height in ((3, 2), (7, 5), (14, 11), (4, 9), (20, 3), (1, 1), (2, 5)):
    a = source.astype(np.float64)
    for axis, m in ((1, width), (0, height)):
        a = between(areas(a, axis, m), axis, m)
    resized.append(dict(width=width, height=height, pixels=short(a, 0)))
windowed = [dict(low=lo, high=hi, pixels=np.clip((source.astype(float) - lo) / (hi - lo), 0, 1).ravel().round(9).tolist())
            for lo, hi in ((0.25, 0.75), (-1.0, 2.0), (0.5, 0.5001))]


# ---- DICOM

def dicom(name, stored, bits_allocated=16, bits_stored=None, high_bit=None, signed=False, kind="MONOCHROME2",
          syntax=ExplicitVRLittleEndian, pixels=None, **attributes):
    """`stored`: the values; `pixels`: the bytes, where they are not just those values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = syntax
    d = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.PatientName, d.PatientID, d.PatientBirthDate = "Hidden^Person", "secret-4711", "19700101"
    # sequences of both kinds of length, with pixels and rows of their own within
    inner = Dataset()
    inner.PatientName, inner.Rows, inner.PixelData = "Hidden^Person", 1, b"\1\2"
    inner["PixelData"].VR = "OW"
    outer = Dataset()
    outer.ReferencedImageSequence = Sequence([inner])
    d.ReferencedStudySequence, d.IconImageSequence = Sequence([outer]), Sequence([inner])
    d["ReferencedStudySequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    if stored is not None:
        d.Rows, d.Columns = stored.shape[:2] if kind == "RGB" else stored.shape[-2:]
        d.SamplesPerPixel = 3 if kind == "RGB" else 1
        if kind == "RGB":
            d.PlanarConfiguration = 0
        d.PhotometricInterpretation = kind
        d.BitsAllocated, d.BitsStored = bits_allocated, bits_stored or bits_allocated
        d.HighBit = d.BitsStored - 1 if high_bit is None else high_bit
        d.PixelRepresentation = int(signed)
    for key, value in attributes.items():
        setattr(d, key, value)
    if stored is not None:
        kinds = {(8, False): "<u1", (8, True): "<i1", (16, False): "<u2", (16, True): "<i2"}
        plain = stored.astype(kinds[bits_allocated, signed]).tobytes()
        if syntax in (RLELossless, JPEG2000Lossless) and pixels is None:
            d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            d.PixelData = plain
            d["PixelData"].VR = "OW"
            d.compress(syntax, generate_instance_uid=False)
        else:
            d.PixelData = plain if pixels is None else pixels
            d["PixelData"].VR = "OB" if bits_allocated == 8 or syntax.is_compressed else "OW"
            d["PixelData"].is_undefined_length = syntax.is_encapsulated
    d.save_as(HERE / name, enforce_file_format=True)
    return d


def shown(name, stored, bits, window, file_window=None, signed=False, inverted=False, slope=1.0, intercept=0.0,
          tolerance=0.0):
    """The formulas of PS3.3 in numpy; where there is a window, pydicom's must agree."""
    x = stored.astype(np.float64) * slope + intercept
    asked = file_window if window == "own" else None if window == "full" else window
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    ends = sorted([low * slope + intercept, high * slope + intercept])
    if asked is None:
        value = (x - ends[0]) / (ends[1] - ends[0])
    else:
        c, w = asked
        value = np.where(x <= c - 0.5 - (w - 1) / 2, 0.0, np.where(x > c - 0.5 + (w - 1) / 2, 1.0,
                         (x - (c - 0.5)) / max(w - 1, 1e-9) + 0.5))
        d = Dataset()
        d.PhotometricInterpretation, d.BitsStored, d.PixelRepresentation = "MONOCHROME2", bits, int(signed)
        d.WindowCenter, d.WindowWidth, d.RescaleSlope, d.RescaleIntercept = c, w, slope, intercept
        d.ModalityLUTSequence = None
        del d.ModalityLUTSequence
        theirs = apply_windowing(apply_rescale(stored, d), d)
        first, last = low * slope + intercept, high * slope + intercept
        if slope > 0:
            assert np.abs((theirs - first) / (last - first) - value).max() < 1e-9, name
    value = 1 - value if inverted else value
    images.append(dict(file=name, window=window, width=stored.shape[1], height=stored.shape[0], tolerance=tolerance,
                       pixels=short(value, tolerance)))


u16 = rng.integers(0, 65536, (H, W))
u16[0, :2] = 0, 65535
dicom("u16.dcm", u16)
for window in ("own", "full", (30000.0, 20000.0), (30000.5, 1.0)):
    shown("u16.dcm", u16, 16, window)

s16 = rng.integers(-200, 1400, (H, W))
s16[0, :4] = -32768, 32767, 1063, 1064
ct = dict(signed=True, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter=["40", "300"], WindowWidth=["400", "1500"])
dicom("s16.dcm", s16, **ct)
for window in ("own", "full", (-600.0, 1500.0), (50.0, 2.0)):
    shown("s16.dcm", s16, 16, window, (40.0, 400.0), signed=True, intercept=-1024.0)

dicom("falling.dcm", s16, signed=True, RescaleSlope="-0.5", RescaleIntercept="12.25", VOILUTFunction="LINEAR",
      WindowCenter="-200.5", WindowWidth="300.75", syntax=ImplicitVRLittleEndian)
for window in ("own", "full"):
    shown("falling.dcm", s16, 16, window, (-200.5, 300.75), signed=True, slope=-0.5, intercept=12.25)

u8 = rng.integers(0, 256, (H, W))
dicom("mono1.dcm", u8, 8, kind="MONOCHROME1", syntax=ImplicitVRLittleEndian, pixels=u8.astype("u1").tobytes() + b"\0")
for window in ("own", (100.0, 80.0)):
    shown("mono1.dcm", u8, 8, window, inverted=True)

# 12 bits stored; what stands above them is none of theirs
u12 = rng.integers(0, 4096, (H, W))
u12[0, :2] = 0, 4095
noise = rng.integers(0, 16, (H, W))
dicom("stored12.dcm", u12, bits_stored=12, pixels=(u12 | noise << 12).astype("<u2").tobytes())
shown("stored12.dcm", u12, 12, "own")
s12 = u12 - 2048
dicom("signed12.dcm", s12, bits_stored=12, signed=True, pixels=((s12 & 4095) | noise << 12).astype("<u2").tobytes())
shown("signed12.dcm", s12, 12, "own", signed=True)
dicom("high12.dcm", u12, bits_stored=12, high_bit=15, pixels=(u12 << 4 | noise).astype("<u2").tobytes())
shown("high12.dcm", u12, 12, "own")

dicom("rle16.dcm", u16, syntax=RLELossless)
shown("rle16.dcm", u16, 16, "own")
flat = np.repeat(u8[:, :3], 3, axis=1)  # with runs
dicom("rle8.dcm", flat, 8, syntax=RLELossless)
shown("rle8.dcm", flat, 8, "own")
# the encoder takes none smaller
w12, ws16 = np.tile(u12, (5, 4))[:32, :33], np.tile(s16, (5, 4))[:32, :33]
dicom("j2k12.dcm", w12, bits_stored=12, syntax=JPEG2000Lossless)
shown("j2k12.dcm", w12, 12, "own")
dicom("j2ksigned.dcm", ws16, syntax=JPEG2000Lossless, **ct)
shown("j2ksigned.dcm", ws16, 16, "own", (40.0, 400.0), signed=True, intercept=-1024.0)

lossless = imagecodecs.ljpeg_encode(u16.astype(np.uint16), bitspersample=16)
assert (imagecodecs.ljpeg_decode(lossless) == u16).all()
dicom("jpeglossless.dcm", u16, syntax=JPEGLosslessSV1, pixels=encapsulate([lossless]))
shown("jpeglossless.dcm", u16, 16, "own")
code = (HERE / "grey.jpg").read_bytes()
decoded = np.asarray(Image.open(HERE / "grey.jpg")).astype(int)
dicom("jpeg8.dcm", decoded, 8, syntax=JPEGBaseline8Bit, pixels=encapsulate([code], fragments_per_frame=3))
shown("jpeg8.dcm", decoded, 8, "own", tolerance=2 / 255)

# each is refused
dicom("nopixels.dcm", None)
dicom("frames.dcm", np.stack([u8, u8]), 8, NumberOfFrames="2")
dicom("rgb.dcm", rgb, 8, kind="RGB")
dicom("palette.dcm", u8, 8, kind="PALETTE COLOR", pixels=u8.astype("u1").tobytes() + b"\0")
dicom("bits32.dcm", u16, pixels=u16.astype("<u4").tobytes(), BitsAllocated=32)
part = (HERE / "u16.dcm").read_bytes()
(HERE / "bigendian.dcm").write_bytes(part.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"))
dicom("deflated.dcm", u16, syntax=DeflatedExplicitVRLittleEndian)
dicom("jpegls.dcm", u16, syntax=JPEGLSLossless, pixels=encapsulate([b"\xff\xd8\xff\xf7nothing\xff\xd9"]))
dicom("sigmoid.dcm", u16, WindowCenter="30000", WindowWidth="20000", VOILUTFunction="SIGMOID")
shown("sigmoid.dcm", u16, 16, "full")
dicom("narrow.dcm", u16, WindowCenter="30000", WindowWidth="0.5")
dicom("slope0.dcm", u16, RescaleSlope="0", RescaleIntercept="0")
dicom("words.dcm", u16, RescaleSlope="1", RescaleIntercept="0")
part = (HERE / "words.dcm").read_bytes()
(HERE / "words.dcm").write_bytes(part.replace(b"\x28\0\x53\x10DS\x02\x001 ", b"\x28\0\x53\x10DS\x02\0xy"))
lut = Dataset()
lut.LUTDescriptor, lut.ModalityLUTType, lut.LUTData = [2, 0, 16], "US", b"\0\0\1\0"
lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
dicom("lut.dcm", u16, ModalityLUTSequence=Sequence([lut]))
dicom("enhanced.dcm", u16, SharedFunctionalGroupsSequence=Sequence([Dataset()]))
dicom("other.dcm", w12, bits_stored=12, syntax=JPEG2000Lossless)
d = pydicom.dcmread(HERE / "other.dcm")
d.Columns = 6000
d.save_as(HERE / "other.dcm")
dicom("large.dcm", u8[:1, :2], 8, Rows=8192, Columns=8192)
dicom("few.dcm", u16, Rows=70)
part = (HERE / "u16.dcm").read_bytes()
(HERE / "truncated.dcm").write_bytes(part[:-40])
part = (HERE / "j2k12.dcm").read_bytes()
(HERE / "cut.dcm").write_bytes(part[:-40])
(HERE / "text.dcm").write_text("Hidden^Person;42\n" * 20)

# ---- kinds that real encoders write and decoders stumble over; all below was added later, with numbers of its own
rng = np.random.default_rng(13)


def jpeg(name, code, tolerance=2 / 255):
    (HERE / name).write_bytes(code)
    theirs = np.asarray(Image.open(HERE / name))
    expect(name, (luma(theirs) if theirs.ndim == 3 else theirs) / 255, tolerance)


def planes(across, down, grey=False):
    y, small = rng.integers(40, 200, (4, 4)), (4 // down, 4 // across)
    return [y, *(np.full(small, 128) if grey else rng.integers(100, 156, small) for _ in "br")], [(across, down), (1, 1), (1, 1)]


jpeg("scans420.jpg", blocks(*planes(2, 2, True), together=False))
jpeg("scans422.jpg", blocks(*planes(2, 1, True), together=False, restart=2))
jpeg("scans444.jpg", blocks(*planes(1, 1), together=False))
jpeg("sampled.jpg", blocks([rng.integers(40, 200, (4, 4))], [(2, 2)]))
colours = planes(1, 1)
adobe = segment(0xee, b"Adobe\0\x64\0\0\0\0\0")
jpeg("rgbnames.jpg", blocks(*colours, ids=b"RGB"))
jpeg("rgbadobe.jpg", blocks(*colours, apps=adobe))
jpeg("jfif.jpg", blocks(*colours, ids=b"RGB", apps=segment(0xe0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + adobe))
out = io.BytesIO()
Image.fromarray(np.tile(smooth, (2, 2))).save(out, "jpeg", quality=90, restart_marker_blocks=2)
scan = out.getvalue().index(b"\xff\xda")
jpeg("filled.jpg", out.getvalue()[:scan] + re.sub(rb"\xff(?=[\xd0-\xd7])", b"\xff" * 3, out.getvalue()[scan:]))
Image.fromarray(np.dstack([smooth, smooth[::-1], smooth])).save(HERE / "coarse.jpg", quality=90, progressive=True, subsampling=2,
                                                                restart_marker_rows=1)
jpeg("coarse.jpg", (HERE / "coarse.jpg").read_bytes(), 4 / 255)
odd = [rng.integers(40, 200, (4, 4)), rng.integers(100, 156, (4, 2)), rng.integers(100, 156, (4, 1))]
(HERE / "odd.jpg").write_bytes(blocks(odd, [(4, 1), (2, 1), (1, 1)]))  # refused


def decoded(name, want):
    """That another decoder finds these values in a file."""
    assert (pydicom.dcmread(HERE / name).pixel_array == want).all(), name


l8 = rng.integers(0, 256, (H, W))
l12 = rng.integers(0, 4096, (H, W))
even = l8 & ~3
process14 = pydicom.uid.JPEGLossless
dicom("lossless8in16.dcm", l8, bits_stored=8, syntax=JPEGLosslessSV1, pixels=encapsulate([lossless_jpeg(l8, 8)]))
shown("lossless8in16.dcm", l8, 8, "own")
for predictor in range(2, 8):
    name = f"predictor{predictor}.dcm"
    dicom(name, l12, bits_stored=12, syntax=process14, pixels=encapsulate([lossless_jpeg(l12, 12, predictor)]))
    shown(name, l12, 12, "own")
    decoded(name, l12)
# refused: decoders of dependencies have them wrong, or they contradict themselves
pinned = []
for name, a, how in (("restarts.dcm", l8, dict(restart=True)), ("shifted.dcm", even, dict(shift=2))):
    code = lossless_jpeg(a, 8, **how)
    dicom(name, a, 8, syntax=process14, pixels=encapsulate([code]))
    # libjpeg-turbo's pixels; of the decoders behind pydicom not all have a point transform right
    assert (np.asarray(Image.open(io.BytesIO(code))) == a).all(), name
    pinned.append(dict(file=name, pixels=a.ravel().tolist()))
dicom("beside.dcm", l12, bits_stored=10, syntax=process14, pixels=encapsulate([lossless_jpeg(l12, 12)]))
dicom("minus.dcm", l12, bits_stored=16, signed=True, syntax=process14, pixels=encapsulate([lossless_jpeg(l12, 12)]))
dicom("highcoded.dcm", l12, bits_stored=12, high_bit=15, syntax=process14, pixels=encapsulate([lossless_jpeg(l12, 12)]))


def j2k(a, bits):
    return bytes(encode_array(np.ascontiguousarray(a), photometric_interpretation=2, bits_stored=bits, use_mct=False))


s13 = rng.integers(-1000, 600, (32, 33)).astype(np.int16)
how = dict(syntax=JPEG2000Lossless, signed=True, WindowCenter="0", WindowWidth="4000")
dicom("j2ksigned13.dcm", s13, pixels=encapsulate([j2k(s13, 13)]), **how)
shown("j2ksigned13.dcm", s13, 16, "own", (0.0, 4000.0), signed=True)
dicom("j2kunsigned13.dcm", s13, pixels=encapsulate([j2k((s13.astype(int) & 0x1fff).astype(np.uint16), 13)]), **how)
decoded("j2kunsigned13.dcm", s13)
# a large one, packed far more than 64 to 1, as X-rays are that are collimated to black
empty = np.zeros((3520, 2560), np.uint16)
empty[:900, 40:160] = 3001
dicom("j2kempty.dcm", empty, bits_stored=12, syntax=JPEG2000Lossless, pixels=encapsulate([j2k(empty, 12)]))
shown("j2kempty.dcm", empty, 12, "own")

curve = Dataset()
curve.add_new(0x00283002, "US", [256, 0, 16])
curve.add_new(0x00283006, "US", [int(v) for v in np.rint(65535 * (np.arange(256) / 255) ** 2)])
dicom("voilut.dcm", l8, 8, VOILUTSequence=Sequence([curve]))
shown("voilut.dcm", l8, 8, "full")
shown("voilut.dcm", l8, 8, (100.0, 80.0))
dicom("voilutwindow.dcm", l8, 8, VOILUTSequence=Sequence([curve]), WindowCenter="100", WindowWidth="80")
shown("voilutwindow.dcm", l8, 8, "own", (100.0, 80.0))
dicom("emptyluts.dcm", l8, 8, VOILUTSequence=Sequence([]), ModalityLUTSequence=Sequence([]))
shown("emptyluts.dcm", l8, 8, "own")
dicom("mono1inverse.dcm", l8, 8, kind="MONOCHROME1", PresentationLUTShape="INVERSE")
shown("mono1inverse.dcm", l8, 8, "own", inverted=True)
dicom("mono2inverse.dcm", l8, 8, PresentationLUTShape="INVERSE")
dicom("twoframes.dcm", l8, 8, pixels=np.stack([l8, l8]).astype("u1").tobytes())

# files that stray from PS3.10
dicom("meta.dcm", l8, 8, pixels=l8.astype("u1").tobytes() + b"\0")
part = (HERE / "meta.dcm").read_bytes()
end = 144 + struct.unpack("<I", part[140:144])[0]
meta, body = part[:end], part[end:]
plain = b""
for e in pydicom.filereader.read_file_meta_info(HERE / "meta.dcm"):
    if e.VR != "UL":
        v = e.value if isinstance(e.value, bytes) else str(e.value).encode()
        v += b"\0" * (len(v) % 2)
        plain += struct.pack("<HHI", 2, e.tag.elem, len(v)) + v
(HERE / "meta.dcm").write_bytes(part[:132] + struct.pack("<HHII", 2, 0, 4, len(plain)) + plain + body)
shown("meta.dcm", l8, 8, "own")
decoded("meta.dcm", l8)
at = body.index(struct.pack("<HH", 0x28, 2) + b"US")
creator = struct.pack("<HH", 0x19, 0x10) + b"LO" + struct.pack("<H", 6) + b"VENDOR"
for name, element in (("novr.dcm", struct.pack("<I", 4)), ("blankvr.dcm", b"  " + struct.pack("<H", 4))):
    (HERE / name).write_bytes(meta + body[:at] + creator + struct.pack("<HH", 0x19, 0x1001) + element + b"abcd" + body[at:])

(HERE / "expected.json").write_text(json.dumps(dict(
    versions=dict(numpy=np.__version__, pillow=PIL.__version__, pydicom=pydicom.__version__,
                  imagecodecs=imagecodecs.__version__),
    pictures=pictures, images=images, pinned=pinned,
    source=dict(width=7, height=5, pixels=short(source, 0)), resized=resized, windowed=windowed)))
