#!/usr/bin/python3
"""Writes image_golden/: small image files, and expected.txt with what Pillow makes of them (and of noise, resized).

    /usr/bin/python3 Tests/Runtime/image/image_golden.py

Needs python3-pil alone, the distribution's, whose libjpeg-turbo and libwebp are the libraries that the test links: other
builds of Pillow bring other versions, and JPEG and WebP then differ by a grey level here and there.

Lines of expected.txt; HASH is FNV-1a (64 bits) of the bytes of the result:
    decode FILE WIDTH HEIGHT HASH LENGTHS    LENGTHS: which beginnings of the file are still read, 593-609,640-
    refuse FILE ERROR                        a '*' at the end of ERROR stands for a library's own words
    resize SEED WIDTH HEIGHT OUT_WIDTH OUT_HEIGHT HASH
    pad SEED WIDTH HEIGHT SIZE RED GREEN BLUE HASH
    crop SEED WIDTH HEIGHT RESIZE SIZE HASH
    normalize SIZE HASH                      f32 [3, SIZE, SIZE] of noise 0 with CLIP's mean and std
"""
import base64
import io
import os
import random
import struct
import warnings
import zlib

from PIL import Image, features

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_golden")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "%016x" % h


# --- noise, made the same way in image_test.c ---

def make_table():
    table, x = bytearray(), 1
    for _ in range(4093):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        table.append(x >> 24)
    return bytes(table)


TABLE = make_table()
HARD = bytes(255 if v > 127 else 0 for v in TABLE)  # black and white: overshoot must be clipped


def noise(seed, width, height):
    n, start = width * height * 3, 31 * seed % 4093
    table = HARD if seed & 1 else TABLE
    return Image.frombytes("RGB", (width, height), (table * (n // 4093 + 2))[start:start + n])


def picture(width, height):
    """Slopes, an edge and some texture: small when compressed, and no two channels or rows alike."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            edge = 90 if (x - width / 2) ** 2 + (y - height / 3) ** 2 < (height / 3) ** 2 else 0
            data += bytes(((x * 5 + edge) & 255, (y * 7 + (x * y >> 3)) & 255, (200 - x * 2 + edge + (TABLE[x + 37 * y] >> 5)) & 255))
    return Image.frombytes("RGB", (width, height), bytes(data))


# --- PNG, by hand: Pillow writes neither 16-bit colour nor Adam7 nor a chosen filter ---

def chunk(kind, body, crc=None):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)


SIGNATURE, END = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]


def header(width, height, depth, colour, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def filtered(kind, row, above, unit):
    result = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - unit] if i >= unit else 0
        b = above[i]
        c = above[i - unit] if i >= unit else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        result.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) & 255)
    return bytes(result)


def png(width, height, depth, colour, interlace=0, sample=None, before=b"", after=b"", parts=1):
    """sample(x, y, channel) -> value below 2**depth; every filter is used in turn, `parts` IDAT chunks are written."""
    top = (1 << depth) - 1
    if sample is None:
        def sample(x, y, channel):
            v = x * 9 + y * 5 + channel * 77 + (TABLE[x + 41 * y] >> 6)
            return (v * 263 if depth == 16 else v) & top
    raw, count = bytearray(), 0
    for x0, dx, y0, dy in ADAM7 if interlace else [(0, 1, 0, 1)]:
        above = None
        for y in range(y0, height, dy):
            bits, row = "", bytearray()
            for x in range(x0, width, dx):
                for channel in range(CHANNELS[colour]):
                    v = sample(x, y, channel)
                    if depth < 8:
                        bits += format(v, "0%db" % depth)
                    else:
                        row += v.to_bytes(depth // 8, "big")
            if depth < 8:
                bits += "0" * (-len(bits) % 8)
                row += bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            if not row:
                break
            raw += filtered(count % 5, row, above or bytes(len(row)), max(1, CHANNELS[colour] * depth // 8))
            above, count = row, count + 1
    packed = zlib.compress(bytes(raw), 9)
    cuts = [len(packed) * i // parts for i in range(parts + 1)]
    pixels = b"".join(chunk(b"IDAT", packed[a:b]) for a, b in zip(cuts, cuts[1:]))
    return SIGNATURE + header(width, height, depth, colour, interlace) + before + pixels + after + END


def palette(entries):
    return chunk(b"PLTE", bytes(v for i in range(entries) for v in ((i * 37 + 11) & 255, (255 - i * 19) & 255, (i * i + 3) & 255)))


def png_files():
    made = {}
    for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            for interlace in (0, 1):
                name = "%s%d%s.png" % (("grey", "", "rgb", "palette", "greyalpha", "", "rgba")[colour], depth, "-adam7" * interlace)
                plte = palette(1 << depth) if colour == 3 else b""
                made[name] = png(19, 13, depth, colour, interlace, before=plte)
    small = lambda x, y, c: (x * 3 + y) % 300  # around 255, where 16 bits of grey stop
    made["grey16-low.png"] = png(19, 17, 16, 0, sample=lambda x, y, c: 240 + x + 19 * (y // 9))
    made["grey16-low-adam7.png"] = png(19, 17, 16, 0, 1, sample=small)
    made["palette8-short.png"] = png(19, 13, 8, 3, before=palette(20))  # indices behind the palette
    made["palette4-alphas.png"] = png(19, 13, 4, 3, before=palette(16) + chunk(b"tRNS", bytes(range(0, 240, 20))))
    made["palette4-key.png"] = png(19, 13, 4, 3, before=palette(16) + chunk(b"tRNS", b"\xff\xff\0\xff"))
    made["grey8-key.png"] = png(19, 13, 8, 0, before=chunk(b"tRNS", b"\0\x40"))
    made["grey1-key.png"] = png(19, 13, 1, 0, before=chunk(b"tRNS", b"\0\x01"))
    made["rgb8-key.png"] = png(19, 13, 8, 2, before=chunk(b"tRNS", b"\0\x40\0\x80\0\xa0"))
    made["rgb8-palette.png"] = png(19, 13, 8, 2, before=palette(4))  # a suggested palette changes nothing
    colours = (chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"cHRM", struct.pack(">8I", *range(30000, 38000, 1000)))
               + chunk(b"sBIT", b"\5\5\5") + chunk(b"bKGD", b"\0\1\0\2\0\3") + chunk(b"zzZz", b"unknown"))
    made["rgb8-gamma.png"] = png(19, 13, 8, 2, before=colours, after=chunk(b"tEXt", b"Title\0behind the pixels"))
    made["rgb8-srgb.png"] = png(19, 13, 8, 2, before=chunk(b"sRGB", b"\0"))
    made["grey8-gamma.png"] = png(19, 13, 8, 4, before=chunk(b"gAMA", struct.pack(">I", 220000)))
    made["rgb8-parts.png"] = png(19, 13, 8, 2, 1, parts=40)
    made["grey8-1x1.png"] = png(1, 1, 8, 0)
    for width, height in ((1, 1), (1, 7), (6, 1), (2, 3), (5, 5)):
        made["rgb8-%dx%d-adam7.png" % (width, height)] = png(width, height, 8, 2, 1)
        made["palette2-%dx%d-adam7.png" % (width, height)] = png(width, height, 2, 3, 1, before=palette(4))
    apng = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 19, 13, 0, 0, 1, 10, 0, 0))
    second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 1, 1, 0, 0, 1, 10, 0, 0)) + chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(b"\0\1\2\3"))
    made["animated.png"] = png(19, 13, 8, 2, before=apng, after=second)
    # Pillow does not look at the checksums of pixel chunks: zlib has its own
    broken = bytearray(png(19, 13, 8, 2))
    broken[-len(END) - 1] ^= 0xFF
    made["rgb8-idat-checksum.png"] = bytes(broken)
    return made


# --- JPEG and WebP ---

def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def without(jpeg, marker):
    """The file less its segments of this marker."""
    result, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        length = 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        if jpeg[at + 1] != marker:
            result += jpeg[at:at + length]
        at += length
    return result + jpeg[at:]


def adobe(transform):
    return b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])


# A restart marker after every block, which this Pillow cannot write
RESTARTS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+"
    "gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAYACgDASIAAhEB"
    "AxEB/8QAGAAAAwEBAAAAAAAAAAAAAAAAAAMFBAb/xAAfEAABBAMAAwEAAAAAAAAAAAAAAQIEYQMRIRIxUXH/xAAYAQADAQEAAAAAAAAAAAAAAAACBAUD"
    "Bv/EACARAAICAQMFAAAAAAAAAAAAAAECAAMRBCExEhMiQXH/3QAEAAH/2gAMAwEAAhEDEQA/AOYZHoeyNRvxx6NWONQFfnMa9Rif/9CMyJQ9kOikmFG8"
    "1tRjcDnV+BN2lPTyY1VqDP/RxthonvgFVsVrfYAFl9gD6ZaXUbcz/9JuKPRqTD4tTSdUAFK3ZaSw5nP1ucz/06eKLQ5uFVXTU0n0AEmJUKq7ZiNTmf/U"
    "vNjNbzW1+AAEk2MGKrtiErnE/9k=")


def jpeg_files():
    rgb, large = picture(37, 29), picture(83, 50)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    ycc = without(saved(rgb, "JPEG", quality=60, subsampling="4:4:4"), 0xE0)
    cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=70)
    bare = without(cmyk, 0xEE)
    made = {
        "rgb-444.jpg": saved(rgb, "JPEG", quality=90, subsampling="4:4:4"),
        "rgb-422.jpg": saved(rgb, "JPEG", quality=75, subsampling="4:2:2"),
        "rgb-420.jpg": saved(large, "JPEG", quality=80, subsampling="4:2:0", optimize=True),
        "quality1.jpg": saved(rgb, "JPEG", quality=1),
        "quality100.jpg": saved(rgb, "JPEG", quality=100),
        "progressive.jpg": saved(large, "JPEG", quality=80, progressive=True),
        "progressive-422.jpg": saved(rgb, "JPEG", quality=85, progressive=True, subsampling="4:2:2"),
        "grey.jpg": saved(rgb.convert("L"), "JPEG", quality=80),
        "grey-progressive.jpg": saved(rgb.convert("L"), "JPEG", quality=80, progressive=True),
        "cmyk.jpg": cmyk,
        "cmyk-bare.jpg": bare,
        "ycck.jpg": bare[:2] + adobe(2) + bare[2:],
        "rgb-stored.jpg": ycc[:2] + adobe(0) + ycc[2:],  # three components that are red, green and blue
        "ycc-bare.jpg": ycc,
        "rotated.jpg": saved(rgb, "JPEG", quality=80, exif=rotated),
        "restarts.jpg": RESTARTS,
        "1x1.jpg": saved(rgb.crop((0, 0, 1, 1)), "JPEG"),
        "3x40.jpg": saved(large.crop((40, 5, 43, 45)), "JPEG"),
        "40x3.jpg": saved(large.crop((5, 20, 45, 23)), "JPEG"),
    }
    made["garbage-behind.jpg"] = made["rgb-422.jpg"] + b"\0\1\2\3garbage"
    # a damaged entropy-coded segment is a warning of libjpeg's, and no error
    damaged = bytearray(RESTARTS)
    damaged[-60:-54] = b"\x12\x34\x56\x78\x9a\xbc"
    made["damaged.jpg"] = bytes(damaged)
    return made


def riff(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def u24(value):
    return struct.pack("<I", value)[:3]


def canvas(width, height, flags=0):
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + u24(width - 1) + u24(height - 1))


def webp_files():
    rgb, large = picture(37, 29), picture(83, 50)
    clear = rgb.copy()
    clear.putalpha(Image.linear_gradient("L").resize((37, 29)).point(lambda v: 0 if v < 60 else v))
    still = saved(rgb, "WEBP", lossless=True)[12:]
    frame = riff_chunk(b"ANMF", u24(4) + u24(3) + u24(36) + u24(28) + u24(100) + b"\2" + still)
    return {
        "lossy.webp": saved(large, "WEBP", quality=70),
        "lossy-alpha.webp": saved(clear, "WEBP", quality=60),
        "lossless.webp": saved(rgb, "WEBP", lossless=True),
        "lossless-alpha.webp": saved(clear, "WEBP", lossless=True, exact=True),
        "lossless-alpha-cleared.webp": saved(clear, "WEBP", lossless=True),
        "exif.webp": saved(rgb, "WEBP", quality=50, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        "animated.webp": saved(clear, "WEBP", save_all=True, append_images=[clear.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], duration=50),
        "animated-offset.webp": riff(canvas(60, 40, 2), riff_chunk(b"ANIM", b"\xff\x80\x40\xff\0\0"), frame),
        "1x1.webp": saved(rgb.crop((0, 0, 1, 1)), "WEBP", lossless=True),
        "garbage-behind.webp": saved(rgb, "WEBP", lossless=True) + b"garbage",
    }


def refused_files():
    good = png(19, 13, 8, 2)
    pixels = good.index(b"IDAT") - 4
    flipped = bytearray(good)
    flipped[16 + 3] ^= 1
    jpeg = bytearray(saved(picture(37, 29), "JPEG"))
    sof = jpeg.index(b"\xff\xc0")
    huge, deep, two = bytearray(jpeg), bytearray(jpeg), saved(picture(37, 29).convert("L"), "JPEG")
    huge[sof + 5:sof + 9] = struct.pack(">HH", 65000, 65000)
    deep[sof + 4] = 12
    # two components, both coded like the grey one
    at = two.index(b"\xff\xc0")
    two = two[:at + 2] + b"\0\x0e" + two[at + 4:at + 9] + b"\2" + two[at + 10:at + 13] + b"\2" + two[at + 11:at + 13] + two[at + 13:]
    webp = bytearray(saved(picture(37, 29), "WEBP", lossless=True))
    webp[20:24] = b"\0\0\0\0"
    raw = zlib.compress(bytes(500))
    return {
        "text.png": (b"not an image, whatever its name says\n", "is text, not a JPEG, PNG or WebP image"),
        "empty.jpg": (b"", "is empty, not a JPEG, PNG or WebP image"),
        "short.png": (SIGNATURE[:7], "is not a JPEG, PNG or WebP image"),
        "header-checksum.png": (bytes(flipped), "is not a valid PNG image: wrong checksum of chunk 'IHDR' at byte 8"),
        "gamma-checksum.png": (SIGNATURE + good[8:33] + chunk(b"gAMA", b"\0\1\x86\xa0", 1) + good[33:],
                               "is not a valid PNG image: wrong checksum of chunk 'gAMA' at byte 33"),
        "not-a-chunk.png": (good[:33] + b"\0\0\0\0" + b"I@AT" + good[33:], "is not a valid PNG image: no chunk begins at byte 33"),
        "no-pixels.png": (good[:pixels] + END, "is not a valid PNG image: *"),
        "no-palette.png": (png(19, 13, 8, 3), "is not a valid PNG image: *"),
        "no-width.png": (SIGNATURE + header(0, 13, 8, 2) + chunk(b"IDAT", raw) + END, "is not a valid PNG image: *"),
        "depth3.png": (SIGNATURE + header(19, 13, 3, 0) + chunk(b"IDAT", raw) + END, "is not a valid PNG image: *"),
        "zlib.png": (SIGNATURE + header(19, 13, 8, 2) + chunk(b"IDAT", b"no zlib stream") + END, "is not a valid PNG image: *"),
        "filter.png": (SIGNATURE + header(19, 1, 8, 2) + chunk(b"IDAT", zlib.compress(b"\5" + bytes(57))) + END, "is not a valid PNG image: *"),
        "rows-missing.png": (SIGNATURE + header(19, 13, 8, 2) + chunk(b"IDAT", raw) + END, "is not a valid PNG image: *"),
        "text-cut.png": (png(19, 13, 8, 2, after=chunk(b"tEXt", b"Title\0behind the pixels"))[:-len(END) - 8],
                         "is truncated: its PNG data ends at byte %d"),
        "bomb.png": (SIGNATURE + header(50000, 40000, 8, 2) + chunk(b"IDAT", raw) + END,
                     "declares 50000 x 40000 = 2000000000 pixels, over the limit of 178956970 that '--max-image-pixels' sets"),
        "huge.png": (SIGNATURE + header(0x7FFFFFFF, 0x7FFFFFFF, 8, 2) + chunk(b"IDAT", raw) + END,
                     "declares 2147483647 x 2147483647 = 4611686014132420609 pixels, over the limit of 178956970 that '--max-image-pixels' sets"),
        "bomb.jpg": (bytes(huge), "declares 65000 x 65000 = 4225000000 pixels, over the limit of 178956970 that '--max-image-pixels' sets"),
        "twelve-bits.jpg": (bytes(deep), "is not a valid JPEG image: *"),
        "two.jpg": (two, "is a JPEG image of 2 components: 1, 3 or 4 are supported"),
        "marker-behind.jpg": (bytes(jpeg[:-2]) + b"\xff\x93\0\2\xff\xd9", "is not a valid JPEG image: *"),
        "end-at-once.jpg": (b"\xff\xd8\xff\xd9", "is truncated: its JPEG data ends at byte 4"),
        "pixels.webp": (bytes(webp), "is not a valid WebP image: its chunks are damaged"),
        "bomb.webp": (riff(canvas(16384, 16384, 2), riff_chunk(b"ANIM", bytes(6)),
                           riff_chunk(b"ANMF", u24(0) + u24(0) + u24(36) + u24(28) + u24(100) + b"\2" + saved(picture(37, 29), "WEBP", lossless=True)[12:])),
                      "declares 16384 x 16384 = 268435456 pixels, over the limit of 178956970 that '--max-image-pixels' sets"),
        "no-frame.webp": (riff(canvas(10, 10)), "is not a valid WebP image: its chunks are damaged"),
    }


# --- what Pillow says ---

def opened(data):
    """Pillow's RGB image, or None where it raises."""
    try:
        return Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")).convert("RGB")
    except Exception:
        return None


def lengths(name, data, image):
    """Which beginnings of the file Pillow reads, as "FROM-TO,FROM-": there it must give the whole image.

    PNG: Pillow stops reading once it has the last row, be the last bytes of the zlib stream there or not. lmmc does not
    take such a file: nothing is accepted that ends before the last pixel chunk does."""
    least = 0
    if name.endswith(".png"):
        at = data.rindex(b"IDAT") - 4
        least = at + 12 + struct.unpack_from(">I", data, at)[0]
    ranges = []
    for n in range(len(data) + 1):
        cut = opened(data[:n])
        assert cut is None or cut.tobytes() == image.tobytes(), (name, n)
        if cut is None or n < least:
            continue
        if ranges and ranges[-1][1] == n - 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    assert ranges[-1][1] == len(data), name
    return ",".join("%d-%s" % (a, b if b < len(data) else "") for a, b in ranges)


def padded(image, size, background):
    side = max(image.size)
    square = Image.new("RGB", (side, side), background)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square.resize((size, size), Image.BICUBIC)


def cropped(image, resize, size):
    """transformers' CLIP processor (its Pillow one): black where the resized image does not fill the crop."""
    short, long = min(image.size), max(image.size)
    other = int(resize * long / short)
    image = image.resize((resize, other) if image.width <= image.height else (other, resize), Image.BICUBIC)
    left, top = max(0, (image.width - size) // 2), max(0, (image.height - size) // 2)
    image = image.crop((left, top, min(left + size, image.width), min(top + size, image.height)))
    result = Image.new("RGB", (size, size))
    result.paste(image, ((size - image.width + 1) // 2, (size - image.height + 1) // 2))
    return result


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def normalized(image):
    """float32 at every step: a double result rounded once more is the float32 result for these operations."""
    data, out = image.tobytes(), bytearray()
    for channel in range(3):
        mean, std = f32(CLIP_MEAN[channel]), f32(CLIP_STD[channel])
        for v in data[channel::3]:
            out += struct.pack("<f", f32(f32(v * (1 / 255)) - mean) / std)
    return bytes(out)


def sizes():
    """(width, height, out width, out height): chosen ones, then 300 at random."""
    sides = (1, 2, 3, 5, 64, 301)
    for width in sides:
        for out in (1, 2, 7, 64, 333):
            yield width, 1 + width % 4, out, 2
            yield 2, width, 3, out
    yield from ((1, 1, 1, 1), (40, 30, 40, 30), (40, 30, 40, 7), (40, 30, 9, 30), (3000, 2, 5, 1), (2, 3000, 1, 5), (2, 2, 400, 1), (1, 5, 3, 400))
    numbers = random.Random(7)
    for _ in range(300):
        yield tuple(numbers.choice((numbers.randint(1, 4), numbers.randint(1, 40), numbers.randint(30, 150))) for _ in range(4))


def main():
    warnings.simplefilter("ignore")
    os.makedirs(OUT, exist_ok=True)
    for name in os.listdir(OUT):
        os.remove(os.path.join(OUT, name))
    import PIL
    lines = ["# written by image_golden.py with Pillow %s, libjpeg-turbo %s, libwebp %s" %
             (PIL.__version__, features.version("libjpeg_turbo"), features.version("webp"))]

    def put(name, data):
        with open(os.path.join(OUT, name), "wb") as file:
            file.write(data)

    for name, data in {**png_files(), **jpeg_files(), **webp_files()}.items():
        put(name, data)
        image = opened(data)
        lines.append("decode %s %d %d %s %s" % (name, *image.size, fnv(image.tobytes()), lengths(name, data, image)))
    for name, (data, text) in refused_files().items():
        put(name, data)
        if opened(data) is not None:  # the few that lmmc alone refuses
            assert name in ("no-palette.png", "rows-missing.png"), name
        lines.append("refuse %s '%s' %s" % (name, name, text % len(data) if "%d" in text else text))
    for seed, (width, height, out_width, out_height) in enumerate(sizes()):
        image = noise(seed, width, height).resize((out_width, out_height), Image.BICUBIC)
        lines.append("resize %d %d %d %d %d %s" % (seed, width, height, out_width, out_height, fnv(image.tobytes())))
    numbers = random.Random(8)
    for seed in range(60):
        width, height = (numbers.choice((numbers.randint(1, 9), numbers.randint(1, 200))) for _ in range(2))
        size, background = numbers.choice((1, 8, 31, 48, 96)), tuple(numbers.randrange(256) for _ in range(3))
        image = padded(noise(seed, width, height), size, background)
        lines.append("pad %d %d %d %d %d %d %d %s" % (seed, width, height, size, *background, fnv(image.tobytes())))
        if max(width, height) <= 60 * min(width, height):
            resize = numbers.choice((size, size, size + 9, max(1, size - 7)))
            image = cropped(noise(seed, width, height), resize, size)
            lines.append("crop %d %d %d %d %d %s" % (seed, width, height, resize, size, fnv(image.tobytes())))
    lines.append("normalize 20 %s" % fnv(normalized(noise(0, 20, 20))))
    with open(os.path.join(OUT, "expected.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
