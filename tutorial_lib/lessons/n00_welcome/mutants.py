"""Wrong answers to the exercises of notebook 00, and words of what the participant must be told."""

MUTANTS = {
    "00.1": {
        "colours forgotten": (lambda data, height, width: height * width / len(data), "colours are missing"),
        "upside down": (lambda data, height, width: len(data) / (3 * height * width), "upside down"),
        "file in bits": (lambda data, height, width: 3 * height * width / (8 * len(data)), "in bits"),
        "picture in bits": (lambda data, height, width: 24 * height * width / len(data), "bits against bytes"),
        "fraction cut off": (lambda data, height, width: 3 * height * width // len(data), "fraction is lost"),
        "bytes saved": (lambda data, height, width: 3 * height * width - len(data), "bytes are saved"),
        "share saved": (lambda data, height, width: 1 - len(data) / (3 * height * width), "share that is saved"),
        "nothing returned": ("def times_smaller(data, height, width):\n    3 * height * width / len(data)", "return"),
    },
}
