#!/usr/bin/python3
"""Writes images/: small source images and what Pillow makes of them.

Run with the distribution's python3-pil, whose libjpeg-turbo and libwebp are the libraries that lmmc's binaries link:
    /usr/bin/python3 make_images.py
For every image the picture that Image.open(...).convert("RGB") gives, as a PNG (one file where pictures are equal); for some also resized/NAME-SIZE-{pad,none}.png, the
S x S picture before normalisation. images.json lists them all. Needs Pillow only."""
import io
import json
import math
import os
import struct
import zlib

from PIL import Image, features

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "images")
PAD = tuple(int(255 * m) for m in (0.48145466, 0.4578275, 0.40821073))


def picture(width, height, seed):
    """RGB picture with slopes, sharp edges and texture, so that every resampling mistake shows."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            u, v = x / max(1, width - 1), y / max(1, height - 1)
            wave = math.sin((7 + seed) * u + 5 * v * v) * 0.5 + 0.5
            disc = 1.0 if (u - 0.6) ** 2 + (v - 0.4) ** 2 < 0.05 else 0.0
            noise = ((x * 7919 + y * 104729 + seed * 1299709) * 2654435761 >> 16 & 255) / 255
            check = ((x // 5 + y // 3) & 1) * 0.35
            rgb = (0.6 * u + 0.3 * disc + 0.1 * noise, 0.5 * wave + check, 0.7 * (1 - v) * wave + 0.25 * noise + 0.1 * disc)
            data += bytes(min(255, int(255 * c)) for c in rgb)
    return Image.frombytes("RGB", (width, height), bytes(data))


def png_bytes(width, height, depth, colour, rows, interlace=0):
    """A PNG written by hand: Pillow writes neither 16-bit RGB nor Adam7. rows(x0, dx, y0, dy) yields packed scanlines."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    passes = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)] if interlace else [(0, 1, 0, 1)]
    raw = b"".join(b"\0" + row for p in passes for row in rows(*p) if row)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def rgb_rows(image, sixteen):
    """Scanlines of every (dx, dy)-th pixel; 16-bit samples get a low byte that must not change the result."""
    width, height = image.size
    at = image.load()

    def rows(x0, dx, y0, dy):
        for y in range(y0, height, dy):
            row = bytearray()
            for x in range(x0, width, dx):
                for c in at[x, y]:
                    row += bytes((c, (c * 37 + x * 11 + y) & 255)) if sixteen else bytes((c,))
            yield bytes(row)
    return rows


def grey16_rows(image, alpha):
    """16-bit grey scanlines, half of them below 256: Pillow clips plain grey to 255, and keeps the high byte beside alpha."""
    width, height = image.size
    at = image.convert("L").load()

    def rows(*_):
        for y in range(height):
            row = bytearray()
            for x in range(width):
                row += bytes((at[x, y] if y & 1 else 0, at[x, height - 1 - y]))
                if alpha:
                    row += bytes((x, y))
            yield bytes(row)
    return rows


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sources():
    """name -> file bytes."""
    wide, tall, square = picture(120, 72, 1), picture(53, 118, 2), picture(64, 64, 3)
    odd = picture(67, 45, 4)
    alpha = Image.linear_gradient("L").resize((67, 45)).point(lambda v: 0 if v < 40 else v)
    rgba = odd.copy()
    rgba.putalpha(alpha)
    palette = square.quantize(13, method=Image.Quantize.MEDIANCUT)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    made = {
        "wide.png": saved(wide, "PNG"),
        "tall.png": saved(tall, "PNG"),
        "square.png": saved(square, "PNG"),
        "thin.png": saved(picture(3, 120, 5), "PNG"),
        "dot.png": saved(picture(1, 1, 6), "PNG"),
        "grey.png": saved(odd.convert("L"), "PNG"),
        "bits.png": saved(odd.convert("1"), "PNG"),
        "grey-alpha.png": saved(rgba.convert("LA"), "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette-alpha.png": saved(palette, "PNG", transparency=3),
        "rgba.png": saved(rgba, "PNG"),
        "rgb-key.png": saved(odd, "PNG", transparency=odd.getpixel((5, 5))),
        "interlaced.png": png_bytes(*odd.size, 8, 2, rgb_rows(odd, False), interlace=1),
        "rgb16.png": png_bytes(*odd.size, 16, 2, rgb_rows(odd, True)),
        "grey16.png": png_bytes(*odd.size, 16, 0, grey16_rows(odd, False)),
        "grey16-alpha.png": png_bytes(*odd.size, 16, 4, grey16_rows(odd, True)),
        "photo.jpg": saved(wide, "JPEG", quality=85, subsampling="4:2:0"),
        "odd-420.jpg": saved(odd, "JPEG", quality=70, subsampling="4:2:0", optimize=True),
        "odd-422.jpg": saved(odd, "JPEG", quality=90, subsampling="4:2:2"),
        "odd-444.jpg": saved(odd, "JPEG", quality=95, subsampling="4:4:4"),
        "progressive.jpg": saved(tall, "JPEG", quality=80, progressive=True),
        "grey.jpg": saved(odd.convert("L"), "JPEG", quality=80),
        "exif-rotated.jpg": saved(odd, "JPEG", quality=80, exif=rotated),
        "cmyk.jpg": saved(odd.convert("CMYK"), "JPEG", quality=85),
        "lossy.webp": saved(wide, "WEBP", quality=75),
        "lossless.webp": saved(odd, "WEBP", lossless=True),
        "lossy-alpha.webp": saved(rgba, "WEBP", quality=80),
        "lossless-alpha.webp": saved(rgba, "WEBP", lossless=True, exact=True),
    }
    return made


def squared(rgb, size, pad):
    """model.md: pad to a square of the mean colour and resize, or shortest edge and centre crop."""
    width, height = rgb.size
    if pad:
        side = max(width, height)
        canvas = Image.new("RGB", (side, side), PAD)
        canvas.paste(rgb, ((side - width) // 2, (side - height) // 2))
        return canvas.resize((size, size), Image.BICUBIC)
    if width <= height:
        target = (size, size * height // width)
    else:
        target = (size * width // height, size)
    rgb = rgb.resize(target, Image.BICUBIC)
    left, top = (target[0] - size) // 2, (target[1] - size) // 2
    return rgb.crop((left, top, left + size, top + size))


RESIZED = {"wide.png": (24, 53), "tall.png": (31,), "square.png": (64, 40), "thin.png": (17,), "dot.png": (9,), "rgba.png": (57, 30),
           "progressive.jpg": (33,), "lossy.webp": (48,)}


def main():
    for folder in ("", "decoded", "resized"):
        os.makedirs(os.path.join(OUT, folder), exist_ok=True)
    entries, pictures = [], {}
    for name, data in sources().items():
        with open(os.path.join(OUT, name), "wb") as file:
            file.write(data)
        image = Image.open(io.BytesIO(data))
        rgb = image.convert("RGB")
        path = pictures.setdefault((rgb.size, rgb.tobytes()), "decoded/%s.png" % name)
        if path == "decoded/%s.png" % name:
            rgb.save(os.path.join(OUT, path), optimize=True)
        entry = {"file": name, "mode": image.mode, "size": list(rgb.size), "decoded": path, "resized": []}
        for size in RESIZED.get(name, ()):
            for pad in (True, False):
                path = "resized/%s-%d-%s.png" % (name, size, "pad" if pad else "none")
                squared(rgb, size, pad).save(os.path.join(OUT, path), optimize=True)
                entry["resized"].append({"size": size, "image_aspect_ratio": "pad" if pad else "none", "file": path})
        entries.append(entry)
    import PIL
    versions = {"pillow": PIL.__version__, "libjpeg_turbo": features.version("libjpeg_turbo"), "webp": features.version("webp"), "zlib": features.version("zlib")}
    with open(os.path.join(OUT, "images.json"), "w") as file:
        json.dump({"made_with": versions, "pad_colour": list(PAD), "images": entries}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
