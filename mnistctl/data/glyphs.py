"""Characters and pen strokes that are no digits: letters of several scripts, signs, made-up ones.

Left out are characters that people, too, could read as a digit: O o D Q (0), I l i j | ! / and
brackets (1), Z z ? (2), S s $ (5), G b (6), B & (8), g q (9), and their likes in other scripts.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Points = NDArray[np.float64]
"""Of an outline or a pen, (n, 2): x, y."""

LETTERS = "ACEFHJKLMNPRTUVWXYacdefhkmnprtuvwxy"
SYMBOLS = "#%@=+*~^<>{}¿§¶€±÷∞√∑ΩΨΠΔΛЖЩЮ★♥♫→↔⌂✈☠"
# Never trained against, so that they can show what a network makes of what is new to it.
HELD_OUT = LETTERS[2::5] + SYMBOLS[2::5]
ALPHABETS = (
    "ACFHJKMNPRUVWXacdehkmnrtuvxy",
    "ΓΛΞΠΣΦΧΩαβγεκλμνπτυφχωξη",
    "ГДЖИЙКЛПФХЦШЫЮЯгджийклмпцшщыюя",
    "אהחלמעצקשת",
    "ᐁᐃᐊᐌᐎᐑᐖᐯᐱᐺᐻᑉᑌᑎᑏᑐᑕᑗᑙᑢᑯᑰᑷᒋᒍᒎᒥᒦᒨᒿᓂᓃᓄᓅᓇᓓᓕᓗᓚᓛᓬᓭᓯᓱᓴᔑᔓᔕᔦᔨᔪᔭᕂᕆᕈᕋᕓᕕᕗᕙᕮᖁᖃᖬᖮᖰᖴᗄᗊᗐᗔᗢᗣᘃᘎᘔᘚᘠᘮᘹᙅᙏᙡᙦ",
    "#%=+*~<>{}§¶€±∞√∑♥♫↔✈☠★",
    "∀∂∃∇∈∉∋∓∗∝∠∨∩∪∬∮∴∵≀≁≃≅≈≋≎≏≐≑≗≙≜≞≠≡≢≣≤≥≦≧≪≫≮≲≶⊂⊃⊆⊇⊎⊏⊑⊒⊓⊔⊗⊞⊠⊢⊣⊦⊨⊰⊻⋀⋁⋈⋉⋭",
    "←↑↓↕↖↗↝↟↠↢↤↥↩↪↫↭↮↯↱↳↴↶↷↹⇃⇄⇆⇉⇊⇏⇐⇒⇔⇛⇞⇡⇥⇪",
    "☂☃☄☇☈☊☍☎☘☡☥☧☨☬☭☺♀♁♄♅♇♈♉♌♏♐♑♔♕♘♙♚♛♞♣♧♨♬♮♿⚑⚒⚓⚔⚕⚖⚗⚙⚛⚥⚦⚷⚸✁✄✎✒✓✔✕✗✚✝✞✟✠✢✥✪✰✱✳✶✺✼✾❀❃❅❉❖❣❥❦",
)
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono")


def draw_text(text: str, image: Image.Image, rng: np.random.Generator) -> None:
    """Write `text` in white in the middle of `image`, in a font and size drawn from `rng`."""
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = FONTS if all(ord(letter) < 0x500 for letter in text) else FONTS[:2]
    size = image.width * rng.uniform(0.4, 0.75) / (1 if len(text) == 1 else len(text) * 0.6)
    font = ImageFont.truetype(folder / f"{rng.choice(fonts)}.ttf", max(round(size), 8))
    middle = (image.width / 2, image.height / 2)
    ImageDraw.Draw(image).text(middle, text, fill=255, font=font, anchor="mm")


def draw_character(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A character of one of ALPHABETS on `image`, half of them as written with a pen."""
    draw_text(str(rng.choice(list(rng.choice(ALPHABETS)))), image, rng)
    return as_written(image, rng) if rng.random() < 0.5 else image


def as_written(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The strokes of a picture with white shapes, as a pen of one width draws them."""
    from skimage.morphology import skeletonize

    thin = skeletonize(np.asarray(image) > 110)
    width = max(round(image.width * rng.uniform(0.03, 0.1)), 1)
    drawn = Image.fromarray((255 * thin).astype(np.uint8))
    return drawn.filter(ImageFilter.MaxFilter(width | 1))


def draw_strokes(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two to five strokes of a made-up sign on `image`: lines, arcs, hooks, rings, zigzags.

    A stroke begins somewhere, or, as in most scripts, on one that is there.
    """
    draw = ImageDraw.Draw(image)
    side, width = image.width, max(round(image.width * rng.uniform(0.03, 0.12)), 2)
    proportions = np.array([rng.uniform(0.5, 1), 1]) if rng.random() < 0.7 else np.ones(2)
    written: list[Points] = []
    for _ in range(rng.choice((2, 3, 4, 5), p=(0.3, 0.35, 0.25, 0.1))):
        start = rng.uniform(-1, 1, 2)
        if written and rng.random() < 0.6:
            other = written[rng.integers(len(written))]
            start = other[rng.choice((0, len(other) // 2, len(other) - 1))]
        written.append(stroke_from(start, rng))
        points = side * (0.5 + 0.33 * written[-1] * proportions)
        draw.line([(float(x), float(y)) for x, y in points], 255, width, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.circle((float(x), float(y)), width / 2 - 0.5, fill=255)
    return image


def stroke_from(start: Points, rng: np.random.Generator) -> Points:
    """The path of a stroke, (points, 2), mostly within -1..1, beginning at `start`."""
    kind = rng.choice(("line", "arc", "hook", "ring", "zigzag"), p=(0.35, 0.3, 0.15, 0.1, 0.1))
    if kind == "ring":
        circle = around(rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, 25))
        ring: Points = start + rng.uniform(0.2, 0.5) * (circle - circle[0])
        return ring
    if kind == "zigzag":
        return np.vstack([start, rng.uniform(-1, 1, (rng.integers(2, 4), 2))])
    # Along the axes or a diagonal more often than not, as in scripts.
    angle = rng.integers(8) * np.pi / 4 + rng.normal(0, 0.15)
    end = start + rng.uniform(0.5, 1.6) * np.array([np.cos(angle), np.sin(angle)])
    end = np.clip(end, -1.1, 1.1)
    along, steps = end - start, np.linspace(0, 1, 15)[:, None]
    side = np.array([-along[1], along[0]]) * (rng.choice((-1, 1)) * rng.uniform(0.2, 0.6))
    line: Points = start + steps * along
    if kind == "arc":
        line += 4 * steps * (1 - steps) * side
    if kind != "hook":
        return line
    return np.vstack([line, end + steps * (0.5 * side + 0.1 * along)])


def around(angles: NDArray[np.float64]) -> Points:
    """The points of the unit circle at `angles` (n,), radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
