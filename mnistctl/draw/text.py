"""Numbers in words, the same in figures and in the terminal."""


def percent(share: float) -> str:
    """0.9912 -> `99.12 %`."""
    return f"{100 * share:.2f} %"


def counted(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def accuracy_text(correct: int, total: int) -> str:
    """`accuracy 99.71 % (9,971/10,000)`."""
    return f"accuracy {percent(correct / total)} ({correct:,}/{total:,})"
