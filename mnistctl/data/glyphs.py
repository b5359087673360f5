"""Characters that are no digits: letters of several scripts, and signs.

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


def around(angles: NDArray[np.float64]) -> Points:
    """The points of the unit circle at `angles` (n,), radians."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
