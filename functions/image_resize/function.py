"""Make thumbnails of a picture."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

OUTPUTS = Path("/outputs")
FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG"}
MAX_PIXELS = 50_000_000


def main(data, width=256, format="png"):  # noqa: A002 (the name that one types)
    """Scale a picture down to a width, keeping its proportions and never enlarging it.

    data: a PNG or JPEG picture of at most 50 million pixels; the orientation noted by a camera is applied.
    width: of the thumbnail in pixels, an integer of at least 1.
    format: "png", "jpg" or "jpeg" (transparency becomes white in JPEG).

    Returns the bytes of the thumbnail and writes one twice as wide, for dense screens, to /outputs/double.FORMAT.
    Raises ValueError when the input is not such a picture or an argument is out of range.
    """
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"width must be a positive integer, not {width!r}")
    if str(format).lower() not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    picture = read_picture(data)
    extension = str(format).lower()
    (OUTPUTS / f"double.{extension}").write_bytes(encode(scale(picture, 2 * width), FORMATS[extension]))
    return encode(scale(picture, width), FORMATS[extension])


def read_picture(data):
    """Decode the picture, upright and in RGBA; metadata stays behind."""
    try:
        picture = Image.open(data, formats=("PNG", "JPEG"))
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"the picture has {picture.width} x {picture.height} pixels, more than {MAX_PIXELS}")
        picture = ImageOps.exif_transpose(picture).convert("RGBA")
    except UnidentifiedImageError:
        raise ValueError("the input is neither a PNG nor a JPEG picture") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"the picture cannot be read: {error}") from None
    picture.info.clear()
    return picture


def scale(picture, width):
    """Scale to at most the width, in pixels, with the proportions kept."""
    width = min(width, picture.width)
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def encode(picture, kind):
    """Encode as PNG or JPEG, without transparency where there is none or the format has none."""
    opaque = picture.getextrema()[3] == (255, 255)
    if kind == "JPEG" or opaque:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    file = BytesIO()
    picture.save(file, kind, optimize=True)
    return file.getvalue()
