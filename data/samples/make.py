"""Makes the small files that notebook 00 decodes: ``python data/samples/make.py`` (two minutes)."""

from pathlib import Path

from tutorial_lib import codecs, images, metrics

FACE = (24, 120, 192, 240)
"""Chelsea the cat's face: top, left, height, width in the sample picture of scikit-image (CC0)."""


def main() -> None:
    picture = images.crop(images.sample("chelsea"), *FACE)
    data = codecs.get("siren").encode(picture, bpp=0.9, budget="laptop", seed=0, device="cpu")
    path = Path(__file__).parent / "chelsea.inr"
    path.write_bytes(data)
    psnr = metrics.psnr(codecs.decode(data, device="cpu"), picture)
    print(f"{path.name}: {len(data)} bytes, {metrics.bits_per_pixel(data, picture):.3f} bpp, {psnr:.2f} dB")


if __name__ == "__main__":
    main()
